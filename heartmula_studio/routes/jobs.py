"""/training/jobs: the queue and what runs."""

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep, studio_of
from heartmula_studio.routes.failures import documented, documented_beside_files
from heartmula_studio.routes.listing import Listing, PageDep, at_once, documented_list
from heartmula_studio.routes.requests import Cancellation, JobChanges, NewJob
from heartmula_studio.services.answers import JobAnswer

router = APIRouter(prefix="/training/jobs", tags=["jobs"], dependencies=WITH_TOKEN)
LISTING = Listing(JobAnswer)

MAX_OFFSET = 2**53 - 1
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Bytes of the log that are known already.")]
LastEvent = Annotated[int | None, Query(ge=0, le=MAX_OFFSET, description="As the header Last-Event-ID.")]
LastEventHeader = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_OFFSET)]

EVENT_EXAMPLE = 'id: 412\nevent: step\ndata: {"event": "step", "step": 3, "loss": 3.3406}\n\n'


@router.post("", status_code=202, responses=documented(404, 409))
def create_job(body: NewJob, studio: StudioDep) -> JobAnswer:
    """Queue a training; it needs a dataset of five songs or more, or a catalogue."""
    return JobAnswer.of(studio.jobs.start(**body.given()))


@router.get("", response_model=list[JobAnswer], responses=documented_list())
async def list_jobs(request: Request, page: PageDep) -> Response:
    """All jobs, oldest first."""
    return await LISTING.respond_soon(lambda: studio_of(request).jobs.records(), page)


@router.get("/{id}", response_model=JobAnswer, responses=documented(404))
async def get_job(id: Id, request: Request) -> Response:
    """One job with its progress."""
    return await at_once(lambda: LISTING.respond_one(studio_of(request).jobs.get(id)))


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_job(id: Id, studio: StudioDep) -> None:
    """Delete a job that is not running; what it trained stays."""
    studio.jobs.delete(id)


@router.post("/{id}/cancel", responses=documented(404, 409))
def cancel_job(id: Id, studio: StudioDep, body: Cancellation | None = None) -> JobAnswer:
    """Stop a job: after its step, saved and resumable, or at once."""
    return JobAnswer.of(studio.jobs.stop(id, (body or Cancellation()).save))


@router.post("/{id}/resume", status_code=202, responses=documented(404, 409))
def resume_job(id: Id, studio: StudioDep) -> JobAnswer:
    """Queue a stopped or failed job again; it goes on from its last saved step."""
    return JobAnswer.of(studio.jobs.resume(id))


@router.post("/{id}/clone", status_code=202, responses=documented(404, 409))
def clone_job(id: Id, studio: StudioDep, body: JobChanges | None = None) -> JobAnswer:
    """Queue a new job with the settings of this one, and what is changed."""
    return JobAnswer.of(studio.jobs.clone(id, **(body or JobChanges()).given()))


@router.get(
    "/{id}/logs",
    response_class=PlainTextResponse,
    responses={
        **documented_beside_files(404),
        200: {"headers": {"X-Next-Offset": {"schema": {"type": "integer"}, "description": "Where to go on."}}},
    },
)
def job_logs(id: Id, studio: StudioDep, offset: Offset = 0) -> PlainTextResponse:
    """The log as text, from an offset in bytes."""
    text, next_offset = studio.jobs.logs(id, offset)
    return PlainTextResponse(text, headers={"X-Next-Offset": str(next_offset)})


@router.get("/{id}/metrics", responses=documented(404))
def job_metrics(id: Id, studio: StudioDep) -> list[dict[str, Any]]:
    """Everything measured so far: steps, evaluations, the end."""
    return studio.jobs.metrics(id)


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404), 200: {"content": {"text/event-stream": {"example": EVENT_EXAMPLE}}}},
)
async def job_events(
    id: Id, request: Request, studio: StudioDep, last_event: LastEventHeader = None, last_event_id: LastEvent = None
) -> StreamingResponse:
    """Server-sent events, one for each measurement, until the event `end`; resumes after Last-Event-ID."""
    await run_in_threadpool(studio.jobs.get, id)  # an unknown one is refused before the stream begins
    after = last_event if last_event is not None else last_event_id or 0
    stopped = threading.Event()
    lines = request.app.state.streams.lines(studio.jobs.events(id, after, stopped), stopped)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # a proxy must not hold events back
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)
