"""What is said about records, rather than stored."""

from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.store.records import Dataset


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
    """What a client wants to know first. `device` and `base_model` may be `auto` until the model code is loaded."""

    version: str
    device: str
    base_model: str
    active_checkpoint: str | None
    running_job: str | None


@dataclass(frozen=True)
class Problem:
    """What stands in the way of something, and what to change."""

    message: str
    hint: str


@dataclass(frozen=True)
class Estimate:
    """What a training run would take. Memory and disk are those at their fullest; `seconds` is from start to end.

    `checkpoint_bytes` is what the trained style takes for good.
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

    @property
    def fits(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class RoundTripFile:
    """What the model hears of a song: a FLAC file of at most its first minute. A `log_mel` distance of 0 is perfect."""

    path: Path
    log_mel: float
