"""/training/jobs/{id}/rungs: checkpoints kept along the way, their songs, and what can be done with them."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, StreamingResponse

from heartmula_studio.routes.audio import AUDIO_RESPONSES, audio_answer
from heartmula_studio.routes.checkpoints import Compared
from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep
from heartmula_studio.routes.failures import documented, documented_beside_files
from heartmula_studio.routes.requests import Activation, Comparison, Keeping, Star
from heartmula_studio.services.answers import CheckpointAnswer, LadderAnswer, RungAnswer, SongAnswer

router = APIRouter(prefix="/training/jobs/{id}/rungs", tags=["rungs"], dependencies=WITH_TOKEN)

MAX_NUMBER = 2**53 - 1
Step = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="Of the rung; 0 is the base.", examples=[120])]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="Of the song.", examples=[0])]


@router.get("", responses=documented(404))
def list_rungs(id: Id, studio: StudioDep) -> LadderAnswer:
    """The base and all checkpoints kept so far, with songs and figures, and which one is recommended."""
    return LadderAnswer.of(studio.ladder.get(id))


@router.get("/{step}", responses=documented(404))
def get_rung(id: Id, step: Step, studio: StudioDep) -> RungAnswer:
    """One of them."""
    return RungAnswer.of(studio.ladder.rung(id, step))


@router.get("/{step}/previews/{number}", response_class=FileResponse, responses=AUDIO_RESPONSES)
def play_preview(id: Id, step: Step, number: Number, studio: StudioDep) -> FileResponse:
    """A song of it, FLAC; byte ranges are served."""
    path = studio.ladder.preview(id, step, number)
    return audio_answer(path, f"{step}-{path.name}")


@router.post("/{step}/star", responses=documented(404, 409))
def star(id: Id, step: Step, studio: StudioDep, body: Star | None = None) -> RungAnswer:
    "Add the star, or remove it."
    return RungAnswer.of(studio.ladder.star(id, step, (body or Star()).starred))


@router.post("/{step}/keep", status_code=201, responses=documented(404, 409))
def keep(id: Id, step: Step, studio: StudioDep, body: Keeping | None = None) -> CheckpointAnswer:
    """Make it a style, which stays when the job is deleted. Done twice, it is one."""
    return CheckpointAnswer.of(studio.ladder.keep(id, step, (body or Keeping()).name))


@router.post("/{step}/activate", responses=documented(404, 409))
def activate(id: Id, step: Step, studio: StudioDep, body: Activation | None = None) -> CheckpointAnswer:
    """Keep it as a style, and give every song from now on this style."""
    return CheckpointAnswer.of(studio.ladder.activate(id, step, (body or Activation()).strength))


@router.post("/{step}/compare", status_code=202, responses=documented(404, 409))
def compare(id: Id, step: Step, studio: StudioDep, body: Comparison | None = None) -> Compared:
    """Keep it as a style, and queue one song twice with one seed: by the base alone, and in this style."""
    body = body or Comparison()
    base, styled = studio.ladder.compare(id, step, body.request(), body.format, body.strength)
    return Compared(base=SongAnswer.of(base), styled=SongAnswer.of(styled))


@router.get(
    "/{step}/download",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404), 200: {"content": {"application/zip": {}}}},
)
def download_rung(id: Id, step: Step, studio: StudioDep) -> StreamingResponse:
    """It as one .zip, which importing a checkpoint takes in."""
    filename, chunks = studio.ladder.download(id, step)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}"}
    return StreamingResponse(chunks, media_type="application/zip", headers=headers)
