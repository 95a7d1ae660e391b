"""/training/imports: datasets that come in in the background."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool

from heartmula_studio.routes.datasets import IMPORT_FORM
from heartmula_studio.routes.dependencies import WITH_TOKEN, StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.multipart import check_room, streamed_form
from heartmula_studio.store.task_views import ImportTask

router = APIRouter(prefix="/training/imports", tags=["datasets"], dependencies=WITH_TOKEN)
ImportId = Annotated[str, Path(description="As the import's start gave it.", examples=["k3x9q2mw"])]


@router.post("", status_code=202, responses=documented(415), openapi_extra=IMPORT_FORM)
async def start_import(request: Request, studio: StudioDep) -> ImportTask:
    """Make a dataset of songs from elsewhere in the background, once the file has come.

    How far it is, and the dataset in the end, is asked for by the import's id.
    """
    check_room(request.headers, studio.settings.data_dir)
    async with streamed_form(request, studio.imports.receive, studio.settings.max_import_bytes) as form:
        named = (form.file.original_name, form.text("name"), form.names("styles"), form.text("split"))
        return await run_in_threadpool(studio.imports.start, form.file, *named)


@router.get("", responses=documented())
def list_imports(studio: StudioDep) -> list[ImportTask]:
    """The imports that go on, the page's too, and the last that have ended since the server's start."""
    return studio.imports.list()


@router.get("/{id}", responses=documented(404))
def get_import(id: ImportId, studio: StudioDep) -> ImportTask:
    """How far an import is, which song is at hand, and in the end what it has become and what was left out."""
    return studio.imports.get(id)


@router.post("/{id}/cancel", responses=documented(404, 409))
def cancel_import(id: ImportId, studio: StudioDep) -> ImportTask:
    """Stop an import within moments; nothing of it is left."""
    return studio.imports.cancel(id)
