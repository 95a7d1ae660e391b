"""What is said about records, rather than stored."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Validation:
    """Whether a dataset can be trained on. `message` is for people: "3 of 5 files"."""

    ready: bool
    num_files: int
    minimum_files: int
    message: str
    problems: tuple[str, ...]


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
