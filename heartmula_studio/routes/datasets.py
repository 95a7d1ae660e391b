"""/training/datasets: a name, styles and songs."""

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from heartmula_studio.routes.dependencies import WITH_TOKEN, Id, StudioDep, studio_of
from heartmula_studio.routes.failures import documented, documented_beside_files
from heartmula_studio.routes.listing import (
    HEADERS,
    MAX_LIMIT,
    NEXT_CURSOR,
    Listing,
    PageDep,
    at_once,
    documented_list,
)
from heartmula_studio.routes.multipart import check_room, documented_form, streamed_form
from heartmula_studio.routes.requests import (
    CleaningOfMany,
    DatasetChange,
    Decision,
    NewAnalysis,
    NewDataset,
    TrackEdits,
)
from heartmula_studio.services.dataset_answers import (
    AudioFileAnswer,
    DatasetAnswer,
    ImportedDatasetAnswer,
    ProposalReportAnswer,
)
from heartmula_studio.store.task_views import Analysis, AnalysisKind, CheckKind, CheckTask, CleaningTask
from heartmula_studio.store.track_pages import TrackFilter, TrackKind, TrackOrder
from heartmula_studio.store.views import CleaningReport, SoundReport, TrackLosses, Validation

router = APIRouter(prefix="/training/datasets", tags=["datasets"], dependencies=WITH_TOKEN)
LISTING = Listing(DatasetAnswer)
MAX_SEARCH_CHARS = 1000
FOUND, START = "X-Total-Count", "X-First-Number"
TRACK_HEADERS: dict[str, dict[str, Any]] = {
    FOUND: {"schema": {"type": "integer"}, "description": "How many songs are found, on all pages."},
    START: {"schema": {"type": "integer"}, "description": "How many of them come before this page."},
    NEXT_CURSOR: HEADERS[NEXT_CURSOR],
}
CURSOR_HINT = f"The {NEXT_CURSOR} that came with the page before."
WHICH_TRACKS = "Those without lyrics (`words`), tags or stated rights, with open proposals, or with errors."

IMPORT_FORM = documented_form(
    {"description": "A .zip or .tar of audio files with metadata or texts beside them, or a .parquet file."},
    name={"example": "Lagos nights", "description": "By default that of the file."},
    styles={"description": "Comma-separated.", "example": "Afrobeat, Highlife"},
    split={"description": "Only this one of several.", "example": "train"},
)
EXPORT_TYPES = {
    "folder": "application/zip",
    "parquet": "application/vnd.apache.parquet",
    "webdataset": "application/x-tar",
}
EXPORT_CONTENT = {
    media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in EXPORT_TYPES.values()
}
Format = Annotated[
    Literal["folder", "parquet", "webdataset"],
    Query(description="A zip of audio files with a metadata.jsonl, one parquet file, or a WebDataset shard."),
]


Named = Annotated[
    tuple[str, ...], Query(description="As the dataset lists it; may be repeated. Left out, all.", examples=[["a.mp3"]])
]
Kind = Annotated[AnalysisKind, Path(description="What is looked for.", examples=["tempo_and_key"])]
Check = Annotated[CheckKind, Path(description="What is measured: `lyrics` finds wrong ones.", examples=["sound"])]


@router.get("", response_model=list[DatasetAnswer], responses=documented_list())
async def list_datasets(request: Request, page: PageDep) -> Response:
    """All datasets, oldest first."""
    return await LISTING.respond_soon(lambda: studio_of(request).datasets.records(), page)


@router.post("", status_code=201, responses=documented())
def create_dataset(body: NewDataset, studio: StudioDep) -> DatasetAnswer:
    """Make an empty dataset."""
    return DatasetAnswer.of(studio.datasets.create(body.name, body.styles))


@router.post("/examples", status_code=201, responses=documented())
def create_example_dataset(studio: StudioDep) -> DatasetAnswer:
    """Make a dataset of the six clips that come along, to try everything with."""
    return DatasetAnswer.of(studio.datasets.create_examples())


@router.post(
    "/import",
    status_code=201,
    responses=documented(404, 409, 415),
    openapi_extra=IMPORT_FORM,
)
async def import_dataset(request: Request, studio: StudioDep) -> ImportedDatasetAnswer:
    """Make a dataset of songs from elsewhere: all that can be used comes in, and `skipped` says what could not.

    The answer comes when all are there; `POST /training/imports` does the same in the background. This one, too, is
    listed there, and can be cancelled.
    """
    check_room(request.headers, studio.settings.data_dir)
    async with streamed_form(request, studio.imports.receive, studio.settings.max_import_bytes) as form:
        named = (form.file.original_name, form.text("name"), form.names("styles"), form.text("split"))
        return ImportedDatasetAnswer.of(await run_in_threadpool(studio.imports.run, form.file.path, *named))


@router.get("/{id}", response_model=DatasetAnswer, responses=documented(404))
async def get_dataset(id: Id, request: Request) -> Response:
    """One dataset with its songs."""
    return await at_once(lambda: LISTING.respond_one(studio_of(request).datasets.get(id)))


@router.put("/{id}", responses=documented(404))
def update_dataset(id: Id, body: DatasetChange, studio: StudioDep) -> DatasetAnswer:
    """Rename or restyle a dataset."""
    return DatasetAnswer.of(studio.datasets.update(id, body.name, body.styles))


@router.delete("/{id}", status_code=204, responses=documented(404, 409))
def delete_dataset(id: Id, studio: StudioDep) -> None:
    """Delete a dataset with its files; refused while a job uses it."""
    studio.datasets.delete(id)


@router.get("/{id}/tracks", responses=documented(404) | {200: {"headers": TRACK_HEADERS}})
def list_tracks(
    id: Id,
    studio: StudioDep,
    response: Response,
    q: Annotated[
        str, Query(max_length=MAX_SEARCH_CHARS, description="Words of name, tags or lyrics, all of them.")
    ] = "",
    show: Annotated[TrackKind, Query(description=WHICH_TRACKS)] = "all",
    order: Annotated[TrackOrder, Query(description="What they are sorted by.")] = "added",
    reverse: Annotated[bool, Query(description="The other way round.")] = False,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 200,
    cursor: Annotated[str, Query(max_length=MAX_SEARCH_CHARS, description=CURSOR_HINT)] = "",
) -> list[AudioFileAnswer]:
    """The songs of a dataset in pages, however many there are."""
    page = studio.datasets.tracks(id, TrackFilter(q, show, order, reverse), limit, cursor)
    response.headers.update({FOUND: str(page.num_found), START: str(page.start)})
    if page.cursor:
        response.headers[NEXT_CURSOR] = page.cursor
    return [AudioFileAnswer.of(track) for track in page.tracks]


@router.put("/{id}/tracks", responses=documented(404))
def update_tracks(id: Id, body: TrackEdits, studio: StudioDep) -> list[AudioFileAnswer]:
    """Edit many songs at once: all of them, or none where one cannot be. Returns the songs that were named."""
    return [AudioFileAnswer.of(song) for song in studio.datasets.update_tracks(id, body.changes())]


@router.get("/{id}/validate", responses=documented(404))
def validate_dataset(id: Id, studio: StudioDep) -> Validation:
    """What is missing before the dataset can be trained on."""
    return studio.datasets.validate(id)


@router.post("/{id}/preprocess", status_code=202, responses=documented(404, 409))
def preprocess_dataset(id: Id, studio: StudioDep) -> DatasetAnswer:
    """Turn the songs into tokens now; training does it by itself where it was not done."""
    return DatasetAnswer.of(studio.datasets.preprocess(id))


@router.get("/{id}/losses", responses=documented(404, 409))
def track_losses(id: Id, studio: StudioDep) -> TrackLosses:
    """The base model's own loss on each track, the highest first: where lyrics or tags are wrong, it is high.

    The answer comes when all are measured; the check `lyrics` does the same in the background, says how far it is, and
    cancels this one, too.
    """
    return studio.checks.track_losses(id)


@router.get("/{id}/sound", responses=documented(404, 409))
def check_sound(id: Id, studio: StudioDep) -> SoundReport:
    """Loudness, silence at both ends, clipping, phase, DC offset and duplicates in other formats, track by track.

    The answer comes when all are measured; the check `sound` does the same in the background, says how far it is, and
    cancels this one, too.
    """
    return studio.checks.check_sound(id)


@router.post("/{id}/checks/{kind}", status_code=202, responses=documented(404, 409))
def start_check(id: Id, kind: Check, studio: StudioDep) -> CheckTask:
    """Measure all songs in the background: how they sound, or how unlikely the base model finds them with their words.

    Nothing changes. For `lyrics` the songs have to be tokenized.
    """
    return studio.checks.start(id, kind)


@router.get("/{id}/checks/{kind}", responses=documented(404))
def get_check(id: Id, kind: Check, studio: StudioDep) -> CheckTask:
    """How far a check is, which song is at hand, and what was found so far, as `sound` or `losses` report it."""
    return studio.checks.get(id, kind)


@router.post("/{id}/checks/{kind}/cancel", responses=documented(404, 409))
def cancel_check(id: Id, kind: Check, studio: StudioDep) -> CheckTask:
    """Stop a check within moments; what it has found stays."""
    return studio.checks.cancel(id, kind)


@router.post("/{id}/cleaning", responses=documented(404, 409))
def clean_tracks(id: Id, body: CleaningOfMany, studio: StudioDep) -> CleaningReport:
    """Trim silence and set the loudness of many songs; their originals stay, and timed lyrics move along.

    Each is done whole or not at all. The answer comes when all are done; `cleaning/start` does the same in the
    background. `GET` says of either how far it is, and `cancel` stops it.
    """
    return CleaningReport(tuple(studio.datasets.clean_tracks(id, body.filenames, body.settings())))


@router.post("/{id}/cleaning/start", status_code=202, responses=documented(404, 409))
def start_cleaning(id: Id, body: CleaningOfMany, studio: StudioDep) -> CleaningTask:
    """Trim silence and set the loudness of many songs in the background."""
    return studio.datasets.start_cleaning(id, body.filenames, body.settings())


@router.get("/{id}/cleaning", responses=documented(404))
def get_cleaning(id: Id, studio: StudioDep) -> CleaningTask:
    """How far the cleaning of many songs is, which one is at hand, and how those that are done are cleaned now."""
    return studio.datasets.get_cleaning(id)


@router.post("/{id}/cleaning/cancel", responses=documented(404, 409))
def cancel_cleaning(id: Id, studio: StudioDep) -> CleaningTask:
    """Stop cleaning within moments; the songs that are done stay cleaned, and can be taken back."""
    return studio.datasets.cancel_cleaning(id)


@router.delete("/{id}/cleaning", responses=documented(404, 409))
def restore_tracks(id: Id, studio: StudioDep, filename: Named = ()) -> CleaningReport:
    """Take back how songs were cleaned: they are their originals again, with their lyrics."""
    return CleaningReport(tuple(studio.datasets.restore_tracks(id, filename)))


@router.delete("/{id}/originals", responses=documented(404, 409))
def discard_originals(id: Id, studio: StudioDep, filename: Named = ()) -> CleaningReport:
    """Remove what songs were cleaned from, for good."""
    return CleaningReport(tuple(studio.datasets.discard_originals(id, filename)))


@router.post("/{id}/tempo-and-key", responses=documented(404, 409))
def find_tempo_and_key(id: Id, studio: StudioDep) -> ProposalReportAnswer:
    """Propose each song's tempo and key as tags ("120 bpm", "a minor"), as far as they can be heard.

    Tags stay as they are until a proposal is accepted. A song is listened to once. The answer comes when all are done;
    the analysis `tempo_and_key` does the same in the background, says how far it is, and cancels this one, too.
    """
    return ProposalReportAnswer.of(studio.datasets.find_tempo_and_key(id))


@router.post("/{id}/analyses/{kind}", status_code=202, responses=documented(404, 409))
def start_analysis(id: Id, kind: Kind, body: NewAnalysis, studio: StudioDep) -> Analysis:
    """Have a program listen to all songs in the background, and propose what it finds; nothing else changes.

    What is found of a song is kept at once; started again, it goes on with the songs it has not listened to.
    """
    voice = body.separate_vocals, body.separator
    return studio.datasets.start_analysis(id, kind, body.model, body.language, *voice)


@router.get("/{id}/analyses/{kind}", responses=documented(404))
def get_analysis(id: Id, kind: Kind, studio: StudioDep) -> Analysis:
    """How far an analysis is, and which songs it could not listen to. What it proposes is listed with the songs."""
    return studio.datasets.get_analysis(id, kind)


@router.post("/{id}/analyses/{kind}/cancel", responses=documented(404, 409))
def cancel_analysis(id: Id, kind: Kind, studio: StudioDep) -> Analysis:
    """Stop an analysis within moments; what it has proposed stays."""
    return studio.datasets.cancel_analysis(id, kind)


@router.put("/{id}/proposals", responses=documented(404))
def decide_proposals(id: Id, body: Decision, studio: StudioDep) -> DatasetAnswer:
    """Accept or reject all open proposals of a dataset, or undo all that was decided.

    Lyrics in the place of words that were written since they were proposed stay open.
    """
    return DatasetAnswer.of(studio.datasets.decide_proposals(id, body.status))


@router.get(
    "/{id}/export",
    response_class=StreamingResponse,
    responses={**documented_beside_files(404, 409), 200: {"content": EXPORT_CONTENT}},
)
def export_dataset(id: Id, studio: StudioDep, format: Format = "folder") -> StreamingResponse:
    """The songs with their lyrics, tags and rights as one file, which `import` takes in anywhere else."""
    filename, pieces = studio.datasets.export(id, format)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename)}"}
    return StreamingResponse(pieces, media_type=EXPORT_TYPES[format], headers=headers)
