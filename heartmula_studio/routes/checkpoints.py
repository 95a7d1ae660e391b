"""/training/checkpoints: the trained styles."""

from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep, studio_of
from heartmula_studio.routes.failures import documented, documented_beside_files
from heartmula_studio.routes.listing import Listing, PageDep, at_once, documented_list
from heartmula_studio.routes.multipart import check_room, documented_form, streamed_form
from heartmula_studio.routes.requests import Activation, Comparison, Merge, Mix
from heartmula_studio.services.answers import CheckpointAnswer, SongAnswer
from heartmula_studio.store.style_files import StyleFormat

router = APIRouter(prefix="/training/checkpoints", tags=["checkpoints"], dependencies=WITH_TOKEN)
LISTING = Listing(CheckpointAnswer)

SAFETENSORS = "application/octet-stream"
IMPORT_FORM = documented_form(
    {
        "description": "A .zip or one .safetensors of an adapter by PEFT, kohya, LyCORIS, diffusers, ComfyUI or "
        "SimpleTuner, or of a full checkpoint. Pickles are refused."
    },
    "name",
    name={"example": "Night drive"},
    styles={"description": "Comma-separated.", "example": "synthwave, slow"},
    which={"description": "Which checkpoint to take, by its folder, if there are several."},
    alpha={"description": "A number, where the adapter does not tell its alpha."},
)


class Compared(BaseModel):
    """The same song by the base model alone, and in a style."""

    base: SongAnswer
    styled: SongAnswer


@router.get("", response_model=list[CheckpointAnswer], responses=documented_list())
async def list_checkpoints(request: Request, page: PageDep) -> Response:
    """All trained styles, oldest first."""
    return await LISTING.respond_soon(lambda: studio_of(request).checkpoints.records(), page)


@router.post(
    "/import",
    status_code=201,
    responses=documented(404, 409, 415),
    openapi_extra=IMPORT_FORM,
)
async def import_checkpoint(request: Request, studio: StudioDep) -> CheckpointAnswer:
    """Take in a style that was trained elsewhere."""
    max_bytes = studio.settings.max_import_bytes
    check_room(request.headers, studio.settings.data_dir)
    async with streamed_form(request, lambda name: studio.store.receive(name, max_bytes), max_bytes) as form:
        fields = form.text("name"), form.names("styles"), form.file.original_name, form.text("which")
        alpha = parsed_alpha(form.text("alpha"))
        take_in = partial(studio.checkpoints.import_archive, form.file.path, *fields, alpha)
        return CheckpointAnswer.of(await run_in_threadpool(take_in))


def parsed_alpha(text: str) -> float | None:
    """Raises InvalidInputError for what is no number."""
    try:
        return float(text) if text.strip() else None
    except ValueError as error:
        raise InvalidInputError(f"The alpha is {text[:40]!r}.", "Give a number, or leave it out.") from error


@router.post("/activate", responses=documented(404, 409))
def activate_mix(body: Mix, studio: StudioDep) -> list[CheckpointAnswer]:
    """Give every song from now on several LoRA styles at once."""
    mixed = studio.checkpoints.activate_mix([style.choice() for style in body.styles])
    return [CheckpointAnswer.of(checkpoint) for checkpoint in mixed]


@router.post("/merge", status_code=201, responses=documented(404))
def merge(body: Merge, studio: StudioDep) -> CheckpointAnswer:
    """Make a new style of two or more LoRA styles, which it names; these stay as they are."""
    parents = [style.choice() for style in body.styles]
    return CheckpointAnswer.of(studio.checkpoints.merge(body.name, parents, body.tags, **body.settings()))


@router.get("/{id}", response_model=CheckpointAnswer, responses=documented(404))
async def get_checkpoint(id: Id, request: Request) -> Response:
    """One trained style, with all settings it was made with."""
    return await at_once(lambda: LISTING.respond_one(studio_of(request).checkpoints.get(id)))


@router.get("/{id}/provenance", responses=documented(404))
def get_provenance(id: Id, studio: StudioDep) -> dict[str, Any]:
    """SHA-256 of base and adapter, a fingerprint of the training set, and where it came from: receipts point to it."""
    return studio.checkpoints.provenance(id)


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_checkpoint(id: Id, studio: StudioDep) -> None:
    """Delete a style that is not active."""
    studio.checkpoints.delete(id)


@router.post("/{id}/activate", responses=documented(404, 409))
def activate(id: Id, studio: StudioDep, body: Activation | None = None) -> CheckpointAnswer:
    """Give every song from now on this style alone."""
    return CheckpointAnswer.of(studio.checkpoints.activate(id, **(body or Activation()).model_dump()))


@router.post("/{id}/deactivate", responses=documented(404, 409))
def deactivate(id: Id, studio: StudioDep) -> CheckpointAnswer:
    """Give the base model back, or go on with the others of a mix."""
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
    responses={**documented_beside_files(404), 200: {"content": {"application/zip": {}, SAFETENSORS: {}}}},
)
def download_checkpoint(id: Id, studio: StudioDep, format: StyleFormat = "peft") -> StreamingResponse:
    """The style as one file, which `import` takes in anywhere else: a .zip of the folder as PEFT has it (peft), one
    .safetensors with its settings inside, by kohya's names or ComfyUI's, or a .zip of full weights (merged)."""
    filename, chunks = studio.checkpoints.download(id, format)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}"}
    media_type = SAFETENSORS if filename.endswith(".safetensors") else "application/zip"
    return StreamingResponse(chunks, media_type=media_type, headers=headers)
