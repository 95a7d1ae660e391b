"""/training/jobs/{id}/auditions: telling a rung from the base, blind."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse

from heartmula_studio.routes.audio import AUDIO_RESPONSES, audio_answer
from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep
from heartmula_studio.routes.failures import documented
from heartmula_studio.routes.requests import NewAudition, Vote
from heartmula_studio.routes.rungs import Number
from heartmula_studio.services.answers import AuditionAnswer

router = APIRouter(prefix="/training/jobs/{id}/auditions", tags=["auditions"], dependencies=WITH_TOKEN)

AuditionId = Annotated[str, Path(description="As the studio gave it.", examples=["k3v9x2m4q8ab"])]
Side = Annotated[str, Path(description="a or b.", examples=["a"])]


@router.post("", status_code=201, responses=documented(404, 409))
def start_audition(id: Id, body: NewAudition, studio: StudioDep) -> AuditionAnswer:
    """Draw pairs of songs, by the base and by a rung; which is which is told at the end."""
    return AuditionAnswer.of(studio.auditions.start(id, body.step, body.trials, body.question))


@router.get("", responses=documented(404))
def list_auditions(id: Id, studio: StudioDep) -> list[AuditionAnswer]:
    """All of them, oldest first."""
    return [AuditionAnswer.of(audition) for audition in studio.auditions.list(id)]


@router.get("/{audition_id}", responses=documented(404))
def get_audition(id: Id, audition_id: AuditionId, studio: StudioDep) -> AuditionAnswer:
    """One of them; its result comes with the last vote."""
    return AuditionAnswer.of(studio.auditions.get(id, audition_id))


@router.get("/{audition_id}/trials/{trial}/{side}", response_class=FileResponse, responses=AUDIO_RESPONSES)
def play_side(id: Id, audition_id: AuditionId, trial: Number, side: Side, studio: StudioDep) -> FileResponse:
    """One of the two songs of a trial, FLAC; byte ranges are served."""
    path = studio.auditions.audio(id, audition_id, trial, side)
    return audio_answer(path, f"{trial}-{side}{path.suffix}", {"Cache-Control": "no-store"})


@router.post("/{audition_id}/votes", responses=documented(404, 409))
def vote(id: Id, audition_id: AuditionId, body: Vote, studio: StudioDep) -> AuditionAnswer:
    """Say which song of a trial is the trained one; until all votes are in, it may be changed."""
    return AuditionAnswer.of(studio.auditions.vote(id, audition_id, body.trial, body.choice))
