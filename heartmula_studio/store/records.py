"""What is stored: one frozen dataclass a noun."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, FailFast, Field

from heartmula_studio.files.public_text import public
from heartmula_studio.lyrics.parsing import removed_lines
from heartmula_studio.store.field_types import (
    Confidence,
    Count,
    Duration,
    Filename,
    FilenameIfAny,
    Owner,
    Percent,
    Priority,
    Seconds,
    StoredStrength,
    Time,
)
from heartmula_studio.store.originals import Cleaned
from heartmula_studio.store.record import Record

MINIMUM_FILES = 5

DatasetStatus = Literal["draft", "ready", "processing", "processed", "error"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled", "interrupted"]
Method = Literal["lora", "full"]
Rights = Literal["own", "licensed", "public_domain", "unknown"]
Ending = Literal["as_heard", "ends", "cut_off"]
ProposalKind = Literal["tempo", "key", "tag", "vocals", "lyrics"]
ProposalStatus = Literal["open", "accepted", "rejected"]
SongStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
SongFormat = Literal["wav", "flac", "mp3", "opus", "wav24"]
ExecutorName = Literal["local", "ray"]
UNDER_WAY = ("queued", "running")  # the states of jobs and songs that are not over
ACTIVE_STYLE, BASE_STYLE, MIX_STYLE = "active", "base", "mix"  # what a song can be made in besides a checkpoint


def utc_now() -> str:
    """UTC in ISO 8601, to the microsecond, so that records sort by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Proposal:
    """A tag, or lyrics, that a program found for a track; nothing is trained on it unless a person accepts it.

    `number` names it within the track, `source` is the program. What accepting it did, for undoing: `added` it to the
    track's tags, which first became the dataset's styles (`wrote_styles`) where there were none.

    Lyrics have a `language` (ISO 639-1, "" where it is unknown) and a confidence for each line of `value`, None where
    nothing is sung. They come in the place of `replaces`, and of no other words.
    """

    number: Count
    kind: ProposalKind
    value: str
    confidence: Confidence
    source: str
    status: ProposalStatus = "open"
    added: bool = False
    wrote_styles: bool = False
    language: str = ""
    line_confidences: tuple[Confidence | None, ...] = ()
    replaces: str = ""


@dataclass(frozen=True)
class AudioFile:
    """One song of a dataset. `caption` is its lyrics, plain or LRC; `frames` is None until it is tokenized.

    `filename` names it for good; its figures, from `duration_sec` to `sha256`, are those of the cleaned recording where
    there is one.

    ending: whether the recording comes to an end or is cut off, where a person says so.
    analyzed_by: the sources of proposals that have listened to it, whether or not they found anything.
    """

    filename: Filename
    caption: str
    tags: tuple[str, ...]
    rights: Rights
    duration_sec: Duration
    sample_rate: Count
    channels: Count
    size_bytes: Count
    sha256: str
    added_at: Time
    frames: Count | None = None
    error: str | None = None
    ending: Ending = "as_heard"
    proposals: tuple[Proposal, ...] = ()
    analyzed_by: tuple[str, ...] = ()
    cleaned: Cleaned | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "error", self.error and public(self.error))

    @cached_property
    def not_lyrics(self) -> tuple[str, ...]:
        """The lines of its caption that nobody sings."""
        return removed_lines(self.caption)

    @cached_property
    def fingerprint(self) -> int:
        """Another one for another state, within one process."""
        return hash(self)

    @cached_property
    def outline(self) -> int:
        """As `fingerprint`, of what is shown of it outside its row."""
        return hash(
            (self.filename, self.duration_sec, self.frames, self.error, *(one.status for one in self.proposals))
        )

    @cached_property
    def words(self) -> str:
        """What it is found by, in small letters."""
        return f"{self.filename}\n{', '.join(self.tags)}\n{self.caption}".lower()


def _different(songs: tuple[AudioFile, ...]) -> tuple[AudioFile, ...]:
    if len({song.filename for song in songs}) < len(songs):
        raise ValueError("two songs have the same name")
    return songs


@dataclass(frozen=True)
class Dataset(Record):
    """`waiting_texts` are lyrics whose song has not come yet, by the song's stem.

    `journal` names the file of edits since the record was written, "" where each edit writes all of it.
    """

    id: str
    name: str
    styles: tuple[str, ...]
    created_at: Time
    status: DatasetStatus = "draft"
    minimum_files: Annotated[int, Field(ge=1)] = MINIMUM_FILES
    audio_files: Annotated[tuple[AudioFile, ...], FailFast(), AfterValidator(_different)] = ()
    waiting_texts: dict[str, str] = dataclasses.field(default_factory=dict)
    journal: FilenameIfAny = ""


@dataclass(frozen=True)
class Failure:
    """Why something ended, as in `errors.StudioError`, without this server's folders."""

    code: str
    message: str
    hint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", public(self.message))
        object.__setattr__(self, "hint", public(self.hint))


@dataclass(frozen=True)
class Worker:
    """A process: its id may be given to another one after it ends, its start time tells them apart."""

    pid: Annotated[int, Field(ge=1)]
    started: float  # seconds since the epoch
    host: str


@dataclass(frozen=True)
class Job(Record):
    """A training job. What moves while it runs (`progress` to `eta_sec`) is read from its folder, not stored.

    `config` is the trainer's own, complete; `epochs` to `lora_rank` repeat what people look for. `learned`, of a
    completed one: whether the held-out loss fell, `is_audible`: whether its songs can be told from the base's, None
    where that is not known. `recommended_step` is the rung that became its checkpoint. One that learns from a
    `catalogue` has no dataset: `dataset_id` is empty, and `dataset_name` the catalogue's.

    `executor` is where it runs, or ran last; `nodes_lost` counts the machines that it was moved on from since a person
    queued it. `queue_position` is 1 for the one that starts next, `processes` what it is spread over.
    """

    id: str
    dataset_id: str
    dataset_name: str
    method: Method
    epochs: Count
    learning_rate: float
    lora_rank: Count
    base_model: str
    device: str
    config: dict[str, Any]
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
    worker: Worker | None = None
    executor: ExecutorName = "local"
    priority: Priority = 0  # the higher go first
    owner: Owner = ""  # those of one priority take turns
    queue_position: Count | None = None  # 1 starts next
    nodes_lost: Count = 0
    catalogue: str = ""
    processes: Count = 1


@dataclass(frozen=True)
class Losses:
    """Means over the codebooks, in nats; None where no song is held out."""

    train: float | None = None
    initial: float | None = None
    eval: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class TrackRights:
    """What a checkpoint remembers of a song it learnt from."""

    filename: str
    sha256: str
    rights: Rights


@dataclass(frozen=True)
class Parent:
    """The style that another one was trained further from."""

    id: str
    name: str


@dataclass(frozen=True)
class MergedParent:
    """A style that another one was merged from, the SHA-256 of its weights then, and how strongly it went in."""

    id: str
    name: str
    sha256: str
    strength: StoredStrength
    attention_strength: StoredStrength | None = None
    mlp_strength: StoredStrength | None = None


@dataclass(frozen=True)
class Change:
    """How many of the base's weights a style changes, and by how much: ‖ΔW‖/‖W‖ over those, and of the strongest.

    peft_difference: how far its logits are from those that PEFT's own loading gives, as a share of the largest; None
    where the two were not compared.
    """

    changed: Count
    of: Count
    relative_norm: Annotated[float, Field(ge=0)]
    strongest: str
    strongest_norm: Annotated[float, Field(ge=0)]
    peft_difference: Annotated[float, Field(ge=0)] | None = None


@dataclass(frozen=True)
class Checkpoint(Record):
    """A trained style. `is_active` is known to the engine and filled in by it; `recipe` holds settings and versions.

    `figures` are those of `finetune.figures.Figures`, as far as they were measured.
    `warnings` are sentences on what was passed over when it was imported.
    """

    id: str
    name: str
    styles: tuple[str, ...]
    method: Method
    base_model: dict[str, str]  # {"name", "fingerprint"}, as training writes it; empty for one made elsewhere
    dataset_id: str | None
    job_id: str | None
    size_bytes: Count
    created_at: Time
    losses: Losses = Losses()
    rights: tuple[TrackRights, ...] = ()
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    parent: Parent | None = None
    merged_from: tuple[MergedParent, ...] = ()
    change: Change | None = None  # measured when it was imported or merged
    origin: dict[str, str] = dataclasses.field(default_factory=dict)  # {"hub", "revision"} of one from the Hub
    trigger_word: str = ""
    catalogue: str = ""  # that it learnt from
    is_active: bool = False
    strength: float | None = None
    attention_strength: float | None = None
    mlp_strength: float | None = None


@dataclass(frozen=True)
class StyleChoice:
    """A style that songs are to be made in; attention and MLP layers may have a strength of their own."""

    id: str
    strength: StoredStrength = 1.0
    attention_strength: StoredStrength | None = None
    mlp_strength: StoredStrength | None = None


def _request(values: dict[str, Any]) -> dict[str, Any]:
    """What lists show of it has to be what it should be."""
    for name, kind in {"tags": str, "lyrics": str, "duration_sec": int | float}.items():
        if name in values and not isinstance(values[name], kind):
            raise ValueError(f"{name} is of the wrong kind")
    return values


@dataclass(frozen=True)
class Replay:
    """A song made again by the receipt `of`. `is_same`, bit for bit, and `said`, in sentences, come with the song.

    `is_same` stays None where the receipt does not tell what codes and sound were.
    """

    of: dict[str, Any]
    is_same: bool | None = None
    said: str = ""


@dataclass(frozen=True)
class Generation(Record):
    """A song asked for. `request` are the fields of `generate.request.SongRequest`; `receipt` comes with the song.

    `style` and `style_strength` are what was asked for ("active", "base", a checkpoint's id, or "mix" for those of
    `styles`), `checkpoint_id` and `strength` what the song was made with, of a mix the first one's; the receipt has
    all. `audible` is False for a finished song that nobody can hear. `decoding` are the fields of
    `generate.decode_settings.DecodeSettings`. `decoded_from` is the song whose codes it is decoded from, without the
    language model. `take_of` is the first of the takes of one request, itself among them. Takes that are made one after
    the other until one ends by itself have the seeds so far in `tried`, their own last, and in `takes_left` how many
    more may be made. `ended` tells whether a finished song came to an end before the longest that it might get.
    `continues` names the song or recording that it goes on from, at `from_sec`; where only a stretch of it was made
    anew, that ends at `to_sec`. `title` is what a person called it,
    `cover` the file of its cover image in the song's folder, "" without one. `owner` is the user who asked for it;
    while it waits, `queue_position` is its place in line, and `expected_at` about when its turn comes.
    """

    id: str
    request: Annotated[dict[str, Any], AfterValidator(_request)]
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
    style: str = ACTIVE_STYLE
    style_strength: float | None = None
    styles: tuple[StyleChoice, ...] = ()
    decoding: dict[str, Any] = dataclasses.field(default_factory=dict)
    decoded_from: str | None = None
    take_of: str | None = None
    tried: tuple[int, ...] = ()
    takes_left: Count = 0
    ended: bool | None = None
    continues: str = ""
    from_sec: Duration | None = None
    to_sec: Duration | None = None
    starred: bool = False
    title: str = ""
    cover: FilenameIfAny = ""
    replay: Replay | None = None
    owner: Owner = ""
    queue_position: Count | None = None
    expected_at: Time | None = None
