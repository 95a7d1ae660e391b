"""/styles: words for songs, built-in, own and trained."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from heartmula_studio.routes.dependencies import WITH_TOKEN, StudioDep, studio_of
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.listing import KeptAnswer, at_once
from heartmula_studio.routes.requests import NewStyle
from heartmula_studio.store.views import StyleList

router = APIRouter(prefix="/styles", tags=["styles"], dependencies=WITH_TOKEN)
ANSWER = KeptAnswer(StyleList)


@router.get("", response_model=StyleList, responses=documented())
async def list_styles(request: Request) -> Response:
    """The tags the model knows best, your own ones, and the trained styles."""
    return await at_once(lambda: ANSWER.respond(studio_of(request).tags.list()))


@router.post("/custom", status_code=201, responses=documented(409))
def add_style(body: NewStyle, studio: StudioDep) -> StyleList:
    """Remember a tag of your own."""
    return studio.tags.add(body.name)


@router.delete("/custom/{name:path}", status_code=204, responses=documented(404))
def remove_style(name: Annotated[str, Path(examples=["synthwave"])], studio: StudioDep) -> None:
    """Forget a tag of your own."""
    studio.tags.remove(name)
