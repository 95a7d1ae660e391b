"""What is stored: one frozen dataclass a noun, and its JSON form with a schema number."""

import dataclasses
import functools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from heartmula_studio.errors import StorageError

SCHEMA = 1
MINIMUM_FILES = 5

DatasetStatus = Literal["draft", "ready", "processing", "processed", "error"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled", "interrupted"]
Method = Literal["lora", "full"]
Rights = Literal["own", "licensed", "public_domain", "unknown"]
SongStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
SongFormat = Literal["wav", "flac", "mp3"]
UNDER_WAY = ("queued", "running")  # the states of jobs and songs that are not over
ACTIVE_STYLE, BASE_STYLE = "active", "base"  # what a song can be made in besides a checkpoint


def utc_now() -> str:
    """UTC in ISO 8601, to the microsecond, so that records sort by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@functools.cache  # building one takes a hundred times as long as using it
def _adapter(kind: type) -> TypeAdapter:
    return TypeAdapter(kind)


class Record:
    """Base of what lies in a folder's JSON file."""

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    def to_json(self) -> bytes:
        """UTF-8 for the file. Numbers must be finite; half a surrogate pair becomes a question mark."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8", "replace")

    @classmethod
    def from_dict(cls, values: Any, path: Path) -> Self:
        """Raises StorageError naming `path` for another schema, or values that are no such record."""
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise StorageError(
                f"{path} has schema {schema!r}.", f"This version reads schema {SCHEMA}; use the one that wrote it."
            )
        try:
            return _adapter(cls).validate_python({name: value for name, value in values.items() if name != "schema"})
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise StorageError(f"{path} is not what it should be: {problems}.", "Restore it from a copy.") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises StorageError where the file cannot be read or holds something else; FileNotFoundError without it."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}.", "Check the disk and its rights.") from error
        except (ValueError, RecursionError) as error:
            raise StorageError(f"{path} is not JSON: {error}.", "Restore it from a copy.") from error
        return cls.from_dict(values, path)


@dataclass(frozen=True)
class AudioFile:
    """One song of a dataset. `caption` is its lyrics, plain or LRC; `frames` is None until it is tokenised."""

    filename: str
    caption: str
    tags: tuple[str, ...]
    rights: Rights
    duration_sec: float
    sample_rate: int
    channels: int
    size_bytes: int
    sha256: str
    added_at: str
    frames: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Dataset(Record):
    """`waiting_texts` are lyrics whose song has not come yet, by the song's stem."""

    id: str
    name: str
    styles: tuple[str, ...]
    created_at: str
    status: DatasetStatus = "draft"
    minimum_files: int = MINIMUM_FILES
    audio_files: tuple[AudioFile, ...] = ()
    waiting_texts: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Why something ended, as in `errors.StudioError`."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Worker:
    """A process: its id may be given to another one after it ends, its start time tells them apart."""

    pid: int
    started: float  # seconds since the epoch
    host: str


@dataclass(frozen=True)
class Job(Record):
    """A training job. What moves while it runs (`progress` to `eta_sec`) is read from its folder, not stored.

    `config` is the trainer's own, complete; `epochs` to `lora_rank` repeat what people look for.
    """

    id: str
    dataset_id: str
    dataset_name: str
    method: Method
    epochs: int
    learning_rate: float
    lora_rank: int
    base_model: str
    device: str
    config: dict[str, Any]
    created_at: str
    status: JobStatus = "queued"
    phase: Literal["waiting", "tokenising", "training", "saving"] | None = None
    progress: float = 0.0  # percent: steps done / steps in all
    epoch: int = 0
    step: int = 0
    total_steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    initial_loss: float | None = None
    eta_sec: float | None = None
    message: str = ""
    error: Failure | None = None
    checkpoint_id: str | None = None
    queued_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    worker: Worker | None = None


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
class Checkpoint(Record):
    """A trained style. `is_active` is known to the engine and filled in by it; `recipe` holds settings and versions."""

    id: str
    name: str
    styles: tuple[str, ...]
    method: Method
    base_model: dict[str, str]  # {"name", "fingerprint"}, as training writes it; empty for one made elsewhere
    dataset_id: str | None
    job_id: str | None
    size_bytes: int
    created_at: str
    losses: Losses = Losses()
    rights: tuple[TrackRights, ...] = ()
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    is_active: bool = False
    strength: float | None = None


@dataclass(frozen=True)
class Generation(Record):
    """A song asked for. `request` are the fields of `generate.request.SongRequest`; `receipt` comes with the song.

    `style` and `style_strength` are what was asked for ("active", "base" or a checkpoint's id), `checkpoint_id` and
    `strength` what the song was made with.
    """

    id: str
    request: dict[str, Any]
    format: SongFormat
    created_at: str
    status: SongStatus = "queued"
    progress: float = 0.0
    message: str = ""
    duration_sec: float | None = None
    checkpoint_id: str | None = None
    strength: float | None = None
    receipt: dict[str, Any] | None = None
    error: Failure | None = None
    started_at: str | None = None
    finished_at: str | None = None
    style: str = ACTIVE_STYLE
    style_strength: float | None = None
