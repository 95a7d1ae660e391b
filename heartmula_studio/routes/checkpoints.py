"""/training/checkpoints: the trained styles."""

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from heartmula_studio.routes.dependencies import Id, StudioDep
from heartmula_studio.routes.failures import documented, documented_beside_files
from heartmula_studio.routes.multipart import FILE_FIELD, check_room, streamed_form
from heartmula_studio.routes.requests import Activation, Comparison
from heartmula_studio.services.answers import CheckpointAnswer, SongAnswer

router = APIRouter(prefix="/training/checkpoints", tags=["checkpoints"])

IMPORT_FORM = {
    "type": "object",
    "required": [FILE_FIELD, "name"],
    "properties": {
        FILE_FIELD: {
            "type": "string",
            "format": "binary",
            "description": "A .zip of an adapter folder in PEFT's format, or of a full checkpoint: safetensors only.",
        },
        "name": {"type": "string", "example": "Night drive"},
        "styles": {"type": "string", "description": "Comma-separated.", "example": "synthwave, slow"},
    },
}


class Compared(BaseModel):
    """The same song by the base model alone, and in a style."""

    base: SongAnswer
    styled: SongAnswer


@router.get("", responses=documented())
def list_checkpoints(studio: StudioDep) -> list[CheckpointAnswer]:
    """All trained styles, oldest first."""
    return [CheckpointAnswer.of(record) for record in studio.checkpoints.list()]


@router.post(
    "/import",
    status_code=201,
    responses=documented(404, 409, 415),
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": IMPORT_FORM}}}},
)
async def import_checkpoint(request: Request, studio: StudioDep) -> CheckpointAnswer:
    """Take in a style that was trained elsewhere."""
    max_bytes = studio.settings.max_import_bytes
    check_room(request.headers, studio.settings.data_dir)
    async with streamed_form(request, lambda name: studio.store.receive(name, max_bytes), max_bytes) as form:
        fields = form.text("name"), form.names("styles"), form.file.original_name
        return CheckpointAnswer.of(await run_in_threadpool(studio.checkpoints.import_archive, form.file.path, *fields))


@router.get("/{id}", responses=documented(404))
def get_checkpoint(id: Id, studio: StudioDep) -> CheckpointAnswer:
    """One trained style, with all settings it was made with."""
    return CheckpointAnswer.of(studio.checkpoints.get(id))


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_checkpoint(id: Id, studio: StudioDep) -> None:
    """Delete a style that is not active."""
    studio.checkpoints.delete(id)


@router.post("/{id}/activate", responses=documented(404, 409))
def activate(id: Id, studio: StudioDep, body: Activation | None = None) -> CheckpointAnswer:
    """Give every song from now on this style."""
    return CheckpointAnswer.of(studio.checkpoints.activate(id, (body or Activation()).strength))


@router.post("/{id}/deactivate", responses=documented(404, 409))
def deactivate(id: Id, studio: StudioDep) -> CheckpointAnswer:
    """Give the base model back."""
    return CheckpointAnswer.of(studio.checkpoints.deactivate(id))


@router.post("/{id}/compare", status_code=202, responses=documented(404, 409))
def compare(id: Id, studio: StudioDep, body: Comparison | None = None) -> Compared:
    """Queue one song twice with one seed: by the base model alone, and in this style."""
    body = body or Comparison()
    base, styled = studio.songs.compare(id, body.request(), body.format, body.strength)
    return Compared(base=SongAnswer.of(base), styled=SongAnswer.of(styled))


@router.get(
    "/{id}/download",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404), 200: {"content": {"application/zip": {}}}},
)
def download_checkpoint(id: Id, studio: StudioDep) -> StreamingResponse:
    """The style as one .zip, which `import` takes in anywhere else."""
    filename, chunks = studio.checkpoints.download(id)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}"}
    return StreamingResponse(chunks, media_type="application/zip", headers=headers)
