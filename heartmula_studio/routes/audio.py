"""/training/datasets/{id}/audio: the songs of a dataset."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep
from heartmula_studio.routes.failures import Responses, documented, documented_beside_files, http_failure
from heartmula_studio.routes.multipart import FILE_FIELD, Form, documented_form, streamed_form
from heartmula_studio.routes.requests import Cleaning, Decision, SongChange, SongFields
from heartmula_studio.services.dataset_answers import AudioFileAnswer
from heartmula_studio.store.views import PromptPreview

router = APIRouter(prefix="/training/datasets/{id}/audio", tags=["songs"], dependencies=WITH_TOKEN)

MEDIA_TYPES = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".aiff": "audio/aiff",
    ".caf": "audio/x-caf",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".mka": "audio/webm",
    ".ac3": "audio/ac3",
    ".wma": "audio/x-ms-wma",
    ".avi": "video/x-msvideo",
    ".wv": "audio/x-wavpack",
}

AUDIO_RESPONSES: Responses = {
    **documented_beside_files(404, 409, 416),
    200: {"content": {"audio/*": {}}},
    206: {"content": {"audio/*": {}}, "description": "The bytes that were asked for"},
}

DISTANCE_HEADER = "X-Log-Mel-Distance"
DISTANCE = {DISTANCE_HEADER: {"schema": {"type": "number"}, "description": "From the original; 0 is perfect."}}
HEARD_RESPONSES: Responses = {
    **AUDIO_RESPONSES,
    **documented_beside_files(404, 409, 415, 416),
    200: {**AUDIO_RESPONSES[200], "headers": DISTANCE},
    206: {**AUDIO_RESPONSES[206], "headers": DISTANCE},
}

Filename = Annotated[str, Path(description="As the dataset lists it.", examples=["song.mp3"])]
Number = Annotated[int, Path(description="Of a proposal, as the song lists it.", examples=[1])]


class WaitingText(BaseModel):
    """Lyrics whose song has not come yet; they are taken when it does."""

    message: str


UPLOAD_FORM = documented_form(
    {"description": "MP3, WAV, FLAC, OGG, AIFF, CAF or M4A; or lyrics (.txt, .lrc) of the song of that name."},
    caption={"description": "Lyrics, plain or LRC.", "example": "[verse]\nThe sun creeps in"},
    tags={"description": "Comma-separated.", "example": "piano, calm"},
    rights={"enum": ["own", "licensed", "public_domain", "unknown"], "default": "unknown"},
)


@router.post(
    "",
    status_code=201,
    responses={
        **documented(404, 409, 415),
        202: {"model": WaitingText, "description": "Lyrics that wait for their song"},
    },
    openapi_extra=UPLOAD_FORM,
)
async def add_audio(id: Id, request: Request, response: Response, studio: StudioDep) -> AudioFileAnswer | WaitingText:
    """Add a song, streamed to disk, or the lyrics of one."""
    await run_in_threadpool(studio.datasets.get, id)  # an unknown one is refused before the file is read
    async with streamed_form(request, partial(studio.datasets.receive, id), studio.settings.max_upload_bytes) as form:
        given = _song_fields(form)
        fields = given.caption, given.tags, given.rights
        added = await run_in_threadpool(studio.datasets.add_upload, id, form.file, *fields)
    if added is None:
        response.status_code = 202
        return WaitingText(message="The lyrics are kept for the song of the same name.")
    return AudioFileAnswer.of(added)


def _song_fields(form: Form) -> SongFields:
    """Raises InvalidInputError for an unknown field or value."""
    given: dict[str, Any] = {name: form.text(name) for name in form.fields}
    if "tags" in given:
        given["tags"] = form.names("tags")
    try:
        return SongFields(**given)
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise InvalidInputError(
            f"{problems}.", f"The fields are {', '.join((FILE_FIELD, *SongFields.model_fields))}."
        ) from error


@router.get(
    "/{filename}",
    response_class=FileResponse,
    responses=AUDIO_RESPONSES,
)
def play_audio(id: Id, filename: Filename, studio: StudioDep) -> FileResponse:
    """The song as it was uploaded, or cleaned; byte ranges are served."""
    path = studio.datasets.audio_path(id, filename)
    return audio_answer(path, FilePath(filename).stem + path.suffix)


@router.get("/{filename}/heard", response_class=FileResponse, responses=HEARD_RESPONSES)
def hear(id: Id, filename: Filename, studio: StudioDep) -> FileResponse:
    """The first minute of the song as the model hears it: through its codec and back. It takes a while, once."""
    heard = studio.datasets.preview_round_trip(id, filename)
    return audio_answer(heard.path, heard.path.name, {DISTANCE_HEADER: str(heard.log_mel)})


@router.get("/{filename}/prompt", responses=documented(404))
def preview_prompt(id: Id, filename: Filename, studio: StudioDep) -> PromptPreview:
    """The tags and lyrics that a training would read of the song, window by window, and the lines left out."""
    return studio.datasets.preview_prompt(id, filename)


@router.put("/{filename}", responses=documented(404))
def update_audio(id: Id, filename: Filename, body: SongChange, studio: StudioDep) -> AudioFileAnswer:
    """Edit lyrics, tags and rights, and say whether the recording comes to an end."""
    changed = studio.datasets.update_audio(id, filename, body.caption, body.tags, body.rights, body.ending)
    return AudioFileAnswer.of(changed)


@router.put("/{filename}/proposals/{number}", responses=documented(404, 409))
def decide_proposal(id: Id, filename: Filename, number: Number, body: Decision, studio: StudioDep) -> AudioFileAnswer:
    """Accept or reject what a program proposed for a song, or undo that: all is as before, but for later edits."""
    return AudioFileAnswer.of(studio.datasets.decide_proposal(id, filename, number, body.status))


@router.put("/{filename}/cleaning", responses=documented(404, 409, 415))
def clean_track(id: Id, filename: Filename, body: Cleaning, studio: StudioDep) -> AudioFileAnswer:
    """Trim silence and set the loudness; the original stays, and timed lyrics move along."""
    return AudioFileAnswer.of(studio.datasets.clean_track(id, filename, body.settings()))


@router.delete("/{filename}/cleaning", responses=documented(404, 409))
def restore_track(id: Id, filename: Filename, studio: StudioDep) -> AudioFileAnswer:
    """Take back how a song was cleaned: it is its original again, with its lyrics."""
    return AudioFileAnswer.of(studio.datasets.restore_track(id, filename))


@router.delete("/{filename}/original", responses=documented(404, 409))
def discard_original(id: Id, filename: Filename, studio: StudioDep) -> AudioFileAnswer:
    """Remove what a song was cleaned from, for good."""
    return AudioFileAnswer.of(studio.datasets.discard_original(id, filename))


@router.delete("/{filename}", status_code=204, responses=documented(404, 409))
def remove_audio(id: Id, filename: Filename, studio: StudioDep) -> None:
    """Remove a song and its tokens."""
    studio.datasets.remove_audio(id, filename)


class RangedFile(FileResponse):
    """A file in byte ranges; a range that is none gets the failure shape that everything has."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: HTTPException | None = None

        async def send_file(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] >= 400:
                ranges = Headers(raw=message["headers"]).get("content-range", "bytes */*")
                refusal = HTTPException(message["status"], headers={"Content-Range": ranges})
            if refusal is None:
                await send(message)

        await super().__call__(scope, receive, send_file)
        if refusal is not None:
            await http_failure(Request(scope), refusal)(scope, receive, send)


def audio_answer(path: FilePath, filename: str, headers: Mapping[str, str] | None = None) -> RangedFile:
    media_type = MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
    return RangedFile(
        path, headers=headers, media_type=media_type, filename=filename, content_disposition_type="inline"
    )
