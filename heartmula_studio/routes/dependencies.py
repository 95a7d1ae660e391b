"""What every route is given."""

from typing import Annotated

from fastapi import Depends, Path, Request

from heartmula_studio.studio import Studio


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


StudioDep = Annotated[Studio, Depends(_studio)]
Id = Annotated[str, Path(description="As the studio gave it.", examples=["k3v9x2m4q8ab"])]
