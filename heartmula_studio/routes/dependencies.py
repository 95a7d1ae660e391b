"""What every route is given."""

from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer

from heartmula_studio.studio import Studio


def studio_of(request: Request) -> Studio:
    """As `StudioDep`, for routes that are answered sooner than FastAPI provides for a dependency."""
    studio: Studio = request.app.state.studio
    return studio


async def _studio(request: Request) -> Studio:
    return studio_of(request)


bearer = HTTPBearer(auto_error=False, description="The server's HEARTMULA_TOKEN, or a person's own, where it has one.")
WITH_TOKEN = [Depends(bearer)]
"""Only for the OpenAPI page: `access.Access` checks the token before anything else is read."""

StudioDep = Annotated[Studio, Depends(_studio)]
Id = Annotated[str, Path(description="As the studio gave it.", examples=["k3v9x2m4q8ab"])]
