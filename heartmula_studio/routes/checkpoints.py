"""/training/checkpoints: the trained styles."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from heartmula_studio.atomic import TEMPORARY_PREFIX
from heartmula_studio.errors import UploadTooLargeError
from heartmula_studio.routes.dependencies import Id, StudioDep
from heartmula_studio.routes.failures import documented, documented_beside_files
from heartmula_studio.routes.multipart import FILE_FIELD, check_room, streamed_form
from heartmula_studio.routes.requests import Activation, Comparison
from heartmula_studio.store.records import Checkpoint, Generation

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

    base: Generation
    styled: Generation


@router.get("", responses=documented())
def list_checkpoints(studio: StudioDep) -> list[Checkpoint]:
    """All trained styles, oldest first."""
    return studio.list_checkpoints()


@router.post(
    "/import",
    status_code=201,
    responses=documented(404, 409, 415),
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": IMPORT_FORM}}}},
)
async def import_checkpoint(request: Request, studio: StudioDep) -> Checkpoint:
    """Take in a style that was trained elsewhere."""
    settings = studio.settings

    def open_file(filename: str):
        return _temporary_file(settings.data_dir, settings.max_import_bytes, filename)

    check_room(request.headers, settings.data_dir)
    async with streamed_form(request, open_file, settings.max_import_bytes) as form:
        await run_in_threadpool(form.file.flush)
        return await run_in_threadpool(
            studio.import_checkpoint, form.file.path, form.text("name"), form.names("styles")
        )


@router.get("/{id}", responses=documented(404))
def get_checkpoint(id: Id, studio: StudioDep) -> Checkpoint:
    """One trained style, with all settings it was made with."""
    return studio.get_checkpoint(id)


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_checkpoint(id: Id, studio: StudioDep) -> None:
    """Delete a style that is not active."""
    studio.delete_checkpoint(id)


@router.post("/{id}/activate", responses=documented(404, 409))
def activate(id: Id, studio: StudioDep, body: Activation | None = None) -> Checkpoint:
    """Give every song from now on this style."""
    return studio.activate(id, (body or Activation()).strength)


@router.post("/{id}/deactivate", responses=documented(404, 409))
def deactivate(id: Id, studio: StudioDep) -> Checkpoint:
    """Give the base model back."""
    return studio.deactivate(id)


@router.post("/{id}/compare", status_code=202, responses=documented(404, 409))
def compare(id: Id, studio: StudioDep, body: Comparison | None = None) -> Compared:
    """Queue one song twice with one seed: by the base model alone, and in this style."""
    base, styled = studio.compare(id, **(body or Comparison()).model_dump())
    return Compared(base=base, styled=styled)


@router.get(
    "/{id}/download",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404), 200: {"content": {"application/zip": {}}}},
)
def download_checkpoint(id: Id, studio: StudioDep) -> StreamingResponse:
    """The style as one .zip, which `import` takes in anywhere else."""
    filename, chunks = studio.download_checkpoint(id)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}"}
    return StreamingResponse(chunks, media_type="application/zip", headers=headers)


class _Upload:
    """A file being received that stays under its limit."""

    def __init__(self, file: IO[bytes], path: Path, max_bytes: int):
        self.path = path
        self.flush = file.flush
        self._file = file
        self._left = max_bytes

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise UploadTooLargeError("The file is too large.", "HEARTMULA_MAX_IMPORT_BYTES sets the limit.")
        self._file.write(chunk)


@contextmanager
def _temporary_file(data_dir: Path, max_bytes: int, filename: str) -> Iterator[_Upload]:
    """A file beside the data, where there is room for it; of the given name only the kind of file is kept."""
    suffix = os.path.splitext(filename)[1].lower()
    suffix = suffix if suffix in (".zip", ".safetensors") else ""
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, suffix=suffix, dir=data_dir) as file:
        yield _Upload(file, Path(file.name), max_bytes)
