"""What REST and `gradio_client` say of records: public models, so that what is stored may change and stay unseen.

A model takes over the fields of the record by name; what it does not name stays here.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from heartmula_studio.files.public_text import public
from heartmula_studio.services.dataset_answers import (
    Answer,
    AudioFileAnswer,
    DatasetAnswer,
    ImportedDatasetAnswer,
    ProposalAnswer,
    ProposalReportAnswer,
    TrackProposalsAnswer,
)
from heartmula_studio.store.field_types import Count, Duration, FilenameIfAny, Owner, Percent, Priority, Seconds, Time
from heartmula_studio.store.records import (
    AudioFile,
    Change,
    Checkpoint,
    Dataset,
    ExecutorName,
    Failure,
    Generation,
    Job,
    JobStatus,
    Losses,
    MergedParent,
    Method,
    Parent,
    Proposal,
    SongFormat,
    SongStatus,
    StyleChoice,
    TrackRights,
)
from heartmula_studio.store.views import (
    Audition,
    AuditionQuestion,
    AuditionResult,
    HubRepo,
    ImportedDataset,
    LadderView,
    ModelState,
    ModelStatus,
    ProposalReport,
    Published,
    Rung,
    TrackProposals,
)


def _public_config(config: dict[str, Any]) -> dict[str, Any]:
    return {name: public(value) if isinstance(value, str) else value for name, value in config.items()}


class JobAnswer(Answer):
    """A training job, with what a running one has done so far.

    `config` is the trainer's own, complete; `epochs` to `lora_rank` repeat what people look for. `learned`, of a
    completed one: whether the held-out loss fell, `is_audible`: whether its songs can be told from the base's, None
    where that is not known. `recommended_step` is the rung that became its checkpoint. `executor` is where it runs, or
    ran last; `nodes_lost` counts the machines that it was moved on from. `queue_position` is 1 for the one that starts
    next. One that learns from a `catalogue` has an empty `dataset_id`.
    """

    id: str
    dataset_id: str
    dataset_name: str
    method: Method
    epochs: Count
    learning_rate: float
    lora_rank: Count
    base_model: Annotated[str, AfterValidator(public)]
    device: str
    config: Annotated[dict[str, Any], AfterValidator(_public_config)]
    created_at: Time
    status: JobStatus = "queued"
    phase: Literal["waiting", "tokenising", "training", "saving"] | None = None
    progress: Percent = 0.0  # steps done / steps in all
    epoch: Count = 0
    step: Count = 0
    total_steps: Count | None = None
    loss: float | None = None
    eval_loss: float | None = None
    initial_loss: float | None = None
    eta_sec: Seconds | None = None
    message: str = ""
    learned: bool | None = None
    is_audible: bool | None = None
    recommended_step: Count | None = None
    error: Failure | None = None
    checkpoint_id: str | None = None
    queued_at: str = ""
    started_at: Time | None = None
    finished_at: Time | None = None
    executor: ExecutorName = "local"
    priority: Priority = 0
    owner: Owner = ""
    queue_position: Count | None = None
    nodes_lost: Count = 0
    catalogue: str = ""
    processes: Count = 1


class CheckpointAnswer(Answer):
    """A trained style; `recipe` holds all settings and versions, `figures` what was measured of its songs.

    `warnings` are sentences on what was passed over when it was imported, and `change` was measured then.
    """

    id: str
    name: str
    styles: tuple[str, ...]
    method: Method
    base_model: dict[str, str]  # {"name", "fingerprint"}; empty for one made elsewhere
    dataset_id: str | None
    job_id: str | None
    size_bytes: Count
    created_at: Time
    losses: Losses = Losses()
    rights: tuple[TrackRights, ...] = ()
    recipe: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    parent: Parent | None = None
    merged_from: tuple[MergedParent, ...] = ()
    change: Change | None = None
    origin: dict[str, str] = {}  # {"hub", "revision"} of one from the Hub
    trigger_word: str = ""
    catalogue: str = ""
    is_active: bool = False
    strength: float | None = None
    attention_strength: float | None = None
    mlp_strength: float | None = None


class ReplayAnswer(Answer):
    """Whether a song that was made again is the same bit for bit, and what differs, in sentences.

    `is_same` is None until it is made, and where its receipt, of an earlier release, does not tell.
    """

    is_same: bool | None
    said: str


class SongAnswer(Answer):
    """A song asked for. `receipt` comes with the song.

    `style` and `style_strength` are what was asked for ("active", "base", a checkpoint's id, or "mix" for those of
    `styles`), `checkpoint_id` and `strength` what the song was made with, of a mix the first one's; the receipt has
    all. `audible` is False for a finished song that nobody can hear. `decoded_from` is the song whose codes it is
    decoded from, `take_of` the first of the takes that it is one of, `takes_left` how many more may be made until one
    ends by itself, `ended` whether it came to an end before the longest that it might get, `continues` the song or
    recording that it goes on from at `from_sec`, and only to `to_sec` where a stretch alone was remade; `replay`
    comes with one that is made again by a receipt. `title` is what a person called it, `cover` the file name of its
    cover image, "" without one. `owner` is the user who asked for it; while it waits, `queue_position` is its place in
    line, and `expected_at` about when its turn comes.
    """

    id: str
    request: dict[str, Any]
    format: SongFormat
    created_at: Time
    status: SongStatus = "queued"
    progress: Percent = 0.0
    message: str = ""
    duration_sec: Duration | None = None
    checkpoint_id: str | None = None
    strength: float | None = None
    receipt: dict[str, Any] | None = None
    audible: bool | None = None
    error: Failure | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    style: str = "active"
    style_strength: float | None = None
    styles: tuple[StyleChoice, ...] = ()
    decoded_from: str | None = None
    take_of: str | None = None
    takes_left: Count = 0
    ended: bool | None = None
    continues: str = ""
    from_sec: Duration | None = None
    to_sec: Duration | None = None
    starred: bool = False
    title: str = ""
    cover: FilenameIfAny = ""
    replay: ReplayAnswer | None = None
    owner: Owner = ""
    queue_position: Count | None = None
    expected_at: Time | None = None


class PreviewAnswer(Answer):
    """A song of a rung. Of one number, all rungs' songs have one prompt and seed. `ended`: by itself."""

    number: Count
    seed: Count
    tags: str
    lyrics: str
    duration_sec: Duration
    ended: bool


class RungAnswer(Answer):
    """A checkpoint that a run has kept to be listened to; step 0 is the base, which has songs alone.

    `figures` stand beside the ear, {} where not measured; `faults` are what they say against it. `checkpoint_id`: the
    style that it has become.
    """

    step: Count
    epoch: Count
    is_base: bool
    size_bytes: Count
    eval_loss: float | None
    figures: dict[str, Any]
    faults: tuple[str, ...]
    previews: tuple[PreviewAnswer, ...]
    starred: bool
    recommended: bool
    checkpoint_id: str | None


class LadderAnswer(Answer):
    """The rungs of a job, the base first, and which is recommended, with a sentence why.

    `verdict` says whether the training can be heard, as `is_audible` does (None: nobody listened).
    """

    job_id: str
    rungs: tuple[RungAnswer, ...]
    recommended_step: Count | None
    reason: str
    verdict: str
    is_audible: bool | None


class TrialAnswer(Answer):
    """Two songs, a and b. `choice` is the one taken for the trained one; `trained` is told when all votes are in."""

    number: Count
    seed: Count | None
    tags: str
    lyrics: str
    choice: Literal["a", "b"] | None
    trained: Literal["a", "b"] | None


class AuditionAnswer(Answer):
    """A blind comparison of a rung with the base. `result` comes with the last vote."""

    id: str
    job_id: str
    step: Count
    created_at: Time
    trials: tuple[TrialAnswer, ...]
    result: AuditionResult | None
    question: AuditionQuestion


class ModelAnswer(Answer):
    """What is here of a model that can be downloaded; `error` is of its last download or verification."""

    name: str
    title: str
    licence: str
    status: ModelStatus
    size_bytes: Count
    done_bytes: Count
    free_disk_bytes: Count
    message: str
    error: Failure | None


class HubRepoAnswer(Answer):
    """A repository on the Hub at one revision, a commit's hash. `card` is its README, written by a stranger."""

    id: str
    revision: str
    tags: tuple[str, ...]
    license: str
    base_model: str
    is_private: bool
    is_gated: bool
    downloads: int
    files: tuple[str, ...] = ()
    card: str = ""


class PublishedAnswer(Answer):
    """What was published on the Hub: `revision` is the commit's hash."""

    repo_id: str
    revision: str
    url: str


ANSWERS: dict[type, type[Answer]] = {
    Proposal: ProposalAnswer,
    AudioFile: AudioFileAnswer,
    Dataset: DatasetAnswer,
    ImportedDataset: ImportedDatasetAnswer,
    TrackProposals: TrackProposalsAnswer,
    ProposalReport: ProposalReportAnswer,
    Job: JobAnswer,
    Checkpoint: CheckpointAnswer,
    Generation: SongAnswer,
    LadderView: LadderAnswer,
    Rung: RungAnswer,
    Audition: AuditionAnswer,
    ModelState: ModelAnswer,
    HubRepo: HubRepoAnswer,
    Published: PublishedAnswer,
}


def answer(value: Any) -> Any:
    """Return what is said of a record, or of each in a list; anything else as it is."""
    if isinstance(value, list | tuple):
        return [answer(one) for one in value]
    kind = ANSWERS.get(type(value))
    return kind.of(value) if kind else value
