"""/generate: making songs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.memory_only import leave_memory
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.routes.audio import AUDIO_RESPONSES, audio_answer
from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep, studio_of
from heartmula_studio.routes.failures import Responses, documented, documented_beside_files
from heartmula_studio.routes.listing import (
    Listing,
    Page,
    PageDep,
    WithoutQuery,
    at_once,
    documented_list,
    known_etag,
)
from heartmula_studio.routes.multipart import documented_form, streamed_form
from heartmula_studio.routes.requests import (
    Continuing,
    NewSong,
    NewTakes,
    Redecoding,
    Replaying,
    SongChoice,
    SongEdit,
    Star,
)
from heartmula_studio.services.answers import SongAnswer
from heartmula_studio.services.songs.history import QUERY, Order, SongQuery
from heartmula_studio.services.songs.live import STREAM_HEADERS
from heartmula_studio.store.records import Generation, SongFormat

router = APIRouter(prefix="/generate", tags=["songs to make"], dependencies=WITH_TOKEN)
LISTING = Listing(SongAnswer)

ALL_SONGS = SongQuery()
COVER_FORM = documented_form({"description": "A JPEG or PNG of at most 5 MB.", "example": "cover.png"})
TOTAL_HEADER = "X-Total-Count"
TOTAL = {"schema": {"type": "integer"}, "description": "How many songs there are beyond the limit."}
Format = Annotated[SongFormat | None, Query(description="Left out, the one it was made in.", examples=["mp3"])]


def _described(name: str) -> Any:
    return Query(description=QUERY[name].help, examples=QUERY[name].field.examples)


async def _query(
    search: Annotated[str, _described("search")] = SongQuery.search,
    style: Annotated[str, _described("style")] = SongQuery.style,
    starred: Annotated[bool, _described("starred")] = SongQuery.starred,
    sort: Annotated[Order, _described("sort")] = SongQuery.sort,
    start: Annotated[int, _described("start")] = SongQuery.start,
) -> SongQuery:
    return SongQuery(search, style, starred, sort, start)


QueryDep = Annotated[SongQuery, Depends(_query)]


def documented_songs() -> Responses:
    listed = documented_list()
    return listed | {200: {"headers": listed[200]["headers"] | {TOTAL_HEADER: TOTAL}}}


def require_no_cursor(page: Page) -> None:
    """Raise InvalidInputError for a cursor where songs do not come oldest first."""
    if page.after:
        raise InvalidInputError("A cursor works only with the oldest songs first.", "Use start and limit instead.")


@router.post("/music", status_code=202, responses=documented(404, 409))
def generate(body: NewSong, studio: StudioDep) -> SongAnswer:
    """Queue a song, in the active style if there is one, or in the one or those that are named."""
    song = studio.songs.generate(body.request(), body.format, body.style, body.strength, body.choices())
    return SongAnswer.of(song)


@router.post("/takes", status_code=202, responses=documented(404, 409))
def generate_takes(body: NewTakes, studio: StudioDep) -> list[SongAnswer]:
    """Queue takes of a song, which are made side by side, or one after the other until one ends by itself."""
    asked = body.format, body.style, body.strength, body.choices(), body.until_end
    return [SongAnswer.of(song) for song in studio.songs.generate_takes(body.request(), body.takes, *asked)]


@router.post("/continue", status_code=202, responses=documented(404, 409))
def continue_generation(body: Continuing, studio: StudioDep) -> SongAnswer:
    """Queue a song that goes on from another one, or from a recording, or of which a stretch alone is remade.

    Outside that, its codes are the same, bit for bit.
    """
    asked = body.wishes(), body.from_sec, body.to_sec
    if body.dataset_id is not None and body.filename is not None:
        return SongAnswer.of(studio.songs.continue_track(body.dataset_id, body.filename, *asked))
    assert body.song_id is not None, "checked by the body"
    return SongAnswer.of(studio.songs.continue_song(body.song_id, *asked))


@router.post("/replay", status_code=202, responses=documented(404, 409))
def replay(body: Replaying, studio: StudioDep) -> SongAnswer:
    """Queue a song that is made as a receipt says; its `replay` then tells whether it is the same, bit for bit."""
    receipt = Receipt.from_dict(body.receipt) if body.song_id is None else studio.songs.receipt(body.song_id)
    return SongAnswer.of(studio.songs.replay(receipt, body.format))


async def list_all_generations(request: Request) -> Response:
    return await list_generations(request, Page(etag=known_etag(request)), ALL_SONGS)


router.add_api_route("", list_all_generations, route_class_override=WithoutQuery, include_in_schema=False)


@router.get("", response_model=list[SongAnswer], responses=documented_songs())
async def list_generations(request: Request, page: PageDep, query: QueryDep) -> Response:
    """Songs asked for: all, oldest first, unless something else is wanted; a cursor goes with that order alone."""
    return await at_once(lambda: _listed(studio_of(request).songs.records(), page, query))


def _listed(songs: Sequence[Generation], page: Page, query: SongQuery) -> Response:
    if query == ALL_SONGS:
        found, answer = songs, LISTING.respond(songs, page)
    else:
        leave_memory()
        found, is_by_time = query.find(songs), query.sort == SongQuery.sort
        if query.start or not is_by_time:
            require_no_cursor(page)
        answer = LISTING.respond(found, replace(page, start=query.start, has_cursors=is_by_time), songs)
    answer.headers[TOTAL_HEADER] = str(len(found))
    return answer


@router.post(
    "/zip",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404, 409), 200: {"content": {"application/zip": {}}}},
)
def download_songs(body: SongChoice, studio: StudioDep) -> StreamingResponse:
    """Finished songs in one zip, each called by its title."""
    filename, chunks = studio.songs.archive(body.ids, body.format)
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return StreamingResponse(chunks, media_type="application/zip", headers=headers)


@router.get("/{id}", response_model=SongAnswer, responses=documented(404))
async def get_generation(id: Id, request: Request) -> Response:
    """One song with its progress and, once made, its receipt."""
    return await at_once(lambda: LISTING.respond_one(studio_of(request).songs.get(id)))


@router.get("/{id}/takes", responses=documented(404))
def list_takes(id: Id, studio: StudioDep) -> list[SongAnswer]:
    """The takes that a song is one of, oldest first; only itself where it is none."""
    return [SongAnswer.of(song) for song in studio.songs.takes(id)]


@router.get(
    "/{id}/audio",
    response_class=FileResponse,
    responses=AUDIO_RESPONSES,
)
def get_song(id: Id, studio: StudioDep, format: Format = None) -> FileResponse:
    """The song, in any of the formats; byte ranges are served."""
    path = studio.songs.path(id, format)
    return audio_answer(path, path.name)


@router.get(
    "/{id}/stream",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404, 409), 200: {"content": {"audio/wav": {}}}},
)
async def stream_song(id: Id, studio: StudioDep) -> StreamingResponse:
    """The song as WAV from its beginning, while it is made; sample by sample what the finished file then holds."""
    chunks = await run_in_threadpool(studio.songs.stream, id)
    return StreamingResponse(chunks, media_type="audio/wav", headers=STREAM_HEADERS)


@router.put("/{id}", responses=documented(404, 409))
def rename_generation(id: Id, body: SongEdit, studio: StudioDep) -> SongAnswer:
    """Give a song a title, which its file gets, too."""
    return SongAnswer.of(studio.songs.rename(id, body.title))


@router.post("/{id}/decode", status_code=202, responses=documented(404, 409))
def decode_generation(id: Id, body: Redecoding, studio: StudioDep) -> SongAnswer:
    """Queue a song's sound anew from its codes, without the language model; it becomes a song of its own."""
    return SongAnswer.of(studio.songs.decode(id, body.settings(), body.format, body.loudness_lufs))


@router.post("/{id}/another", status_code=202, responses=documented(404, 409))
def another_seed(id: Id, studio: StudioDep) -> SongAnswer:
    """Queue another song like this one: the same request, with a new seed."""
    return SongAnswer.of(studio.songs.try_another_seed(id))


@router.post("/{id}/star", responses=documented(404))
def star_generation(id: Id, body: Star, studio: StudioDep) -> SongAnswer:
    """Mark a song, or take the mark away."""
    return SongAnswer.of(studio.songs.star(id, body.starred))


@router.post("/{id}/keep", responses=documented(404, 409))
def keep_starred_takes(id: Id, studio: StudioDep) -> list[SongAnswer]:
    """Delete the takes beside a song that have no star; answers those that stay."""
    return [SongAnswer.of(song) for song in studio.songs.keep_starred_takes(id)]


@router.post(
    "/{id}/cover",
    responses=documented(404, 409, 415),
    openapi_extra=COVER_FORM,
)
async def set_cover(id: Id, request: Request, studio: StudioDep) -> SongAnswer:
    """Give a finished song a cover, which its file carries from then on, in every format and in a zip."""
    await run_in_threadpool(studio.songs.get, id)  # an unknown one is refused before the file is read
    max_bytes = studio.settings.max_upload_bytes
    async with streamed_form(request, lambda name: studio.store.receive(name, max_bytes), max_bytes) as form:
        return SongAnswer.of(await run_in_threadpool(studio.songs.set_cover, id, form.file.path))


@router.get(
    "/{id}/cover",
    response_class=FileResponse,
    responses={**documented_beside_files(404), 200: {"content": {"image/jpeg": {}, "image/png": {}}}},
)
def get_cover(id: Id, studio: StudioDep) -> FileResponse:
    """The image that a song has for a cover."""
    return FileResponse(studio.songs.cover_path(id))


@router.delete("/{id}/cover", responses=documented(404, 409))
def remove_cover(id: Id, studio: StudioDep) -> SongAnswer:
    """Take a song's cover away, out of its file, too."""
    return SongAnswer.of(studio.songs.set_cover(id, None))


@router.post("/{id}/cancel", responses=documented(404, 409))
def cancel_generation(id: Id, studio: StudioDep) -> SongAnswer:
    """Stop making a song."""
    return SongAnswer.of(studio.songs.cancel(id))


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_generation(id: Id, studio: StudioDep) -> None:
    """Delete a song that is not being made."""
    studio.songs.delete(id)
