"""What is said about records, rather than stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from heartmula_studio.store.records import Dataset, Failure, Proposal

ModelStatus = Literal["absent", "incomplete", "downloading", "verifying", "complete"]


@dataclass(frozen=True)
class Validation:
    """Whether a dataset can be trained on. `message` is for people: "3 of 5 files"."""

    ready: bool
    num_files: int
    minimum_files: int
    message: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class SkippedItem:
    """A file or row that an import left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ImportedDataset(Dataset):
    """A dataset as it came in, with what was left out of it."""

    skipped: tuple[SkippedItem, ...] = ()


@dataclass(frozen=True)
class TrainedStyle:
    """A style that a checkpoint carries."""

    name: str
    checkpoint_id: str


@dataclass(frozen=True)
class StyleList:
    """What a song can be asked for: tags that come along, a person's own, and trained styles."""

    builtin: tuple[str, ...]
    custom: tuple[str, ...]
    trained: tuple[TrainedStyle, ...]


@dataclass(frozen=True)
class Health:
    """What a client wants to know first. `device` and `base_model` may be `auto` until the model code is loaded.

    `base_reason` says why this base is used, `device_note` what is unusual about the precision of the device,
    `data_note` what threatens the data.
    """

    version: str
    device: str
    base_model: str
    active_checkpoint: str | None
    running_job: str | None
    base_reason: str = ""
    device_note: str = ""
    data_note: str = ""


@dataclass(frozen=True)
class ModelState:
    """What is here of a model that can be downloaded.

    `incomplete`: a download was stopped, or has failed, and goes on when it is asked for again. `error` is of the last
    download or verification by this server; `message` says what to do next.
    """

    name: str
    title: str
    licence: str
    status: ModelStatus
    size_bytes: int
    done_bytes: int
    free_disk_bytes: int
    message: str = ""
    error: Failure | None = None


@dataclass(frozen=True)
class Problem:
    """What stands in the way of something, and what to change."""

    message: str
    hint: str


@dataclass(frozen=True)
class Preset:
    """Settings to start a training with (epochs, and the rank where a new LoRA begins), and what they take."""

    name: str
    steps: int
    seconds: float
    settings: dict[str, int]


@dataclass(frozen=True)
class Estimate:
    """What a training run would take. Memory and disk are those at their fullest; `seconds` is from start to end.

    `checkpoint_bytes` is what the trained style takes for good. `problems` stand in the way of a training, `advice`
    does not.
    """

    steps: int
    seconds: float
    checkpoint_bytes: int
    disk_bytes: int
    free_disk_bytes: int
    memory_bytes: int
    device_memory_bytes: int
    device: str
    problems: tuple[Problem, ...]
    advice: tuple[Problem, ...] = ()

    @property
    def fits(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class PreviewSong:
    """A song of a rung. Of one number, all rungs' songs have one prompt and seed. `ended`: by itself."""

    number: int
    seed: int
    tags: str
    lyrics: str
    duration_sec: float
    ended: bool


@dataclass(frozen=True)
class Rung:
    """A checkpoint that a run has kept to be listened to; step 0 is the base, which has songs alone.

    `figures` are those of `finetune.figures.Figures`, {} where not measured; `faults` what they say against it, in
    clauses. `checkpoint_id`: the style in the library that it has become.
    """

    step: int
    epoch: int
    is_base: bool
    size_bytes: int
    eval_loss: float | None
    figures: dict[str, Any]
    faults: tuple[str, ...]
    previews: tuple[PreviewSong, ...]
    starred: bool
    recommended: bool
    checkpoint_id: str | None


@dataclass(frozen=True)
class LadderView:
    """The rungs of a job in the order of their steps, the base first, and which one is recommended.

    `reason` says why; `verdict` whether the training can be heard, as `is_audible` (None: nobody listened).
    """

    job_id: str
    rungs: tuple[Rung, ...]
    recommended_step: int | None
    reason: str
    verdict: str
    is_audible: bool | None


AuditionQuestion = Literal["told", "preferred"]


@dataclass(frozen=True)
class AuditionTrial:
    """Two songs of one number, `a` and `b`. `choice` is the side voted for, `trained` the trained one.

    `trained` is told when all votes are in.
    """

    number: int
    seed: int | None
    tags: str
    lyrics: str
    choice: Literal["a", "b"] | None
    trained: Literal["a", "b"] | None


@dataclass(frozen=True)
class AuditionResult:
    """The votes, counted. `p_value` is how often guessing gives as many right ones; `told` where that is rare."""

    correct: int
    trials: int
    p_value: float
    told: bool
    sentence: str


@dataclass(frozen=True)
class Audition:
    """A blind comparison of a rung with the base. `result` comes with the last vote."""

    id: str
    job_id: str
    step: int
    created_at: str
    trials: tuple[AuditionTrial, ...]
    result: AuditionResult | None
    question: AuditionQuestion = "told"


@dataclass(frozen=True)
class TrackLoss:
    """The base model's own loss on a track with its tags and lyrics: the mean over the codebooks, in nats."""

    filename: str
    loss: float


@dataclass(frozen=True)
class TrackLosses:
    """The tracks of a dataset, the highest loss first."""

    tracks: tuple[TrackLoss, ...]
    explanation: str = (
        "How unlikely the base model finds each track with its tags and lyrics, before any training. Look at the first "
        "ones: a track far above the others often has wrong lyrics or tags, is cut badly, or is unlike the rest."
    )


@dataclass(frozen=True)
class TrackSound:
    """What a recording sounds like, and what to look at. `loudness_lufs` is integrated (ITU-R BS.1770).

    It and `peak_db`, relative to full scale, are null where there is nothing to hear. `same_as` names an earlier track
    of the dataset with the same recording, in whatever format.
    """

    filename: str
    loudness_lufs: float | None
    peak_db: float | None
    silence_before_sec: float
    silence_after_sec: float
    same_as: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class LengthCount:
    """How many tracks are at least `from_sec` long, and shorter than `to_sec`, where there is such a limit."""

    from_sec: float
    to_sec: float | None
    tracks: int


@dataclass(frozen=True)
class SoundReport:
    """The tracks of a dataset in its order, each with what is to be said of its sound, and how long they are."""

    tracks: tuple[TrackSound, ...]
    lengths: tuple[LengthCount, ...] = ()


@dataclass(frozen=True)
class TrackCleaning:
    """What was cut off a recording and added to its level; `error` says why nothing was."""

    filename: str
    cut_start_sec: float = 0.0
    cut_end_sec: float = 0.0
    gain_db: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class CleaningReport:
    """The tracks that were named, each with how it is cleaned now."""

    tracks: tuple[TrackCleaning, ...]


@dataclass(frozen=True)
class TrackProposals:
    """What is proposed for a track; `error` says why a program could not listen to it."""

    filename: str
    proposals: tuple[Proposal, ...]
    error: str | None = None


@dataclass(frozen=True)
class ProposalReport:
    """The tracks of a dataset in its order, each with what is proposed for it."""

    tracks: tuple[TrackProposals, ...]


@dataclass(frozen=True)
class WindowPreview:
    """A stretch of a track, and the lyrics sung in it as the model reads them."""

    start_sec: float
    end_sec: float
    lyrics: str


@dataclass(frozen=True)
class PromptPreview:
    """What a training reads of a track besides its sound, in as few windows as there can be.

    Trainings draw others, too, and put a trigger word in front. `timing` is how lyrics found their windows: by stamps
    (`timed`), evenly over the song (`spread`), or not at all, as there is one window (`none`). `removed` are lines that
    are not taken for lyrics.
    """

    filename: str
    tags: str
    timing: Literal["timed", "spread", "none"]
    windows: tuple[WindowPreview, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class RoundTripFile:
    """What the model hears of a song: a FLAC file of at most its first minute. A `log_mel` distance of 0 is perfect."""

    path: Path
    log_mel: float


RepoKind = Literal["model", "dataset"]
HUB_LICENSES = (
    *("other", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "apache-2.0", "mit"),
    *("openrail", "unknown"),
)
"""Licences by the Hub's names; of "other", the card's own words count."""


@dataclass(frozen=True)
class HubRepo:
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


@dataclass(frozen=True)
class Published:
    """What was pushed: `revision` is the commit's hash."""

    repo_id: str
    revision: str
    url: str
