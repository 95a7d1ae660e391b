"""Training events: the lines of a run's metrics.jsonl, written and read here only. Loads no torch."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from heartmula_studio.errors import StudioError
from heartmula_studio.files.jsonl import last_line, lines_after, lines_backwards
from heartmula_studio.files.public_text import public

# Of what is read: a line may have been damaged, and other programs cannot hold larger whole numbers.
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Number = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(strict=True, ge=0, le=100)]


@dataclass(frozen=True, kw_only=True)
class StartEvent:
    """A new run is set up. `windows` are its training examples."""

    event: Literal["start"] = "start"
    step: Count = 0
    total_steps: Count
    steps_per_epoch: Count
    trained_parameters: Count
    windows: Count
    songs: tuple[str, ...]
    held_out_songs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """One optimizer step. Losses are cross-entropies in nats, `loss` their mean over the codebooks.

    grad_norm: before clipping; None where fp16 overflowed. elapsed_sec: of the whole run, without loading.
    """

    event: Literal["step"] = "step"
    step: Count
    total_steps: Count
    progress: Percent
    epoch: Count
    loss: Number
    per_codebook: tuple[Number, ...]
    lr: Number
    grad_norm: Number | None
    step_sec: Number
    elapsed_sec: Number
    eta_sec: Number
    preview_eta_sec: Number = 0.0  # of `eta_sec`: what rendering songs to listen to will take


@dataclass(frozen=True, kw_only=True)
class EvalEvent:
    """The held-out loss after `step` steps and `epoch` epochs, in nats as in `StepEvent`."""

    event: Literal["eval"] = "eval"
    step: Count
    epoch: Count
    split: Literal["held_out"] = "held_out"
    loss: Number
    per_codebook: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class RungEvent:
    """A checkpoint to listen to is kept; where none is, `reason` says why."""

    event: Literal["rung"] = "rung"
    step: Count
    size_bytes: Count
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PreviewEvent:
    """A song of a rung is there; step 0 is the base. `ended`: by itself."""

    event: Literal["preview"] = "preview"
    step: Count
    number: Count
    seed: Count
    tags: str
    lyrics: str
    duration_sec: Number
    ended: bool


@dataclass(frozen=True, kw_only=True)
class PreviewsSkippedEvent:
    """No songs were rendered for a rung."""

    event: Literal["previews_skipped"] = "previews_skipped"
    step: Count
    reason: str


@dataclass(frozen=True, kw_only=True)
class FiguresEvent:
    """The figures of a rung are known, see `figures.Figures`. `seconds`: what its songs and figures took."""

    event: Literal["figures"] = "figures"
    step: Count
    figures: dict[str, Any]
    seconds: Number


@dataclass(frozen=True, kw_only=True)
class EndEvent:
    """Fields of an end with everything saved. Held-out losses in nats; None where no song is held out."""

    step: Count
    initial_loss: Number | None
    eval_loss: Number | None
    best_loss: Number | None
    total_steps: Count
    elapsed_sec: Number


@dataclass(frozen=True, kw_only=True)
class StoppedEvent(EndEvent):
    """The run was asked to stop, and can be resumed."""

    event: Literal["stopped"] = "stopped"


@dataclass(frozen=True, kw_only=True)
class DoneEvent(EndEvent):
    """The run is complete. `alarm` says why, where it ended before its last step."""

    event: Literal["done"] = "done"
    alarm: str = ""


@dataclass(frozen=True)
class FailureReason:
    """A `StudioError` as it is written down."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class FailedEvent:
    """The run cannot go on."""

    event: Literal["failed"] = "failed"
    error: FailureReason

    @classmethod
    def of(cls, error: StudioError) -> "FailedEvent":
        return cls(error=FailureReason(error.code, error.message, error.hint))


TrainingEvent = (
    StartEvent
    | StepEvent
    | EvalEvent
    | RungEvent
    | PreviewEvent
    | PreviewsSkippedEvent
    | FiguresEvent
    | StoppedEvent
    | DoneEvent
    | FailedEvent
)
ENDINGS = (StoppedEvent, DoneEvent, FailedEvent)


def to_line(event: TrainingEvent) -> dict[str, Any]:
    """Return the JSON object of an event, its kind first."""
    return {"event": event.event, **dataclasses.asdict(event)}


def to_json(event: TrainingEvent) -> str:
    """Return the line of an event. Raises ValueError for a number that is not finite."""
    return json.dumps(to_line(event), allow_nan=False)


def from_line(line: Mapping[str, Any]) -> TrainingEvent | None:
    """Return the event of a JSON object, None where it is damaged or of another kind. Unknown fields are ignored."""
    try:
        return _adapter().validate_python(line)
    except ValidationError:
        return None


def from_lines(lines: Iterable[Mapping[str, Any]]) -> Iterator[TrainingEvent]:
    """Yield the events among JSON objects."""
    return filter(None, map(from_line, lines))


def read_events(metrics: Path) -> Iterator[TrainingEvent]:
    """Yield the events of a metrics.jsonl, none where there is no such file."""
    return from_lines(line for _, line in lines_after(metrics, 0))


def read_backwards(metrics: Path) -> Iterator[TrainingEvent]:
    """Yield the events of a metrics.jsonl from the last to the first, reading no more than is asked for."""
    return from_lines(lines_backwards(metrics))


def last_event(metrics: Path) -> TrainingEvent | None:
    """Return the event of the last whole line; None where there is none, or it is damaged."""
    return from_line(last_line(metrics))


def drop_ending(metrics: Path) -> None:
    """Cut off how an earlier attempt ended, and a line it left torn."""
    kept = 0
    for end, line in lines_after(metrics, 0):
        if not isinstance(from_line(line), ENDINGS):
            kept = end
    if metrics.is_file():
        with metrics.open("r+b") as file:
            file.truncate(kept)


def public_line(line: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object of metrics.jsonl as it is handed out: a failure names no folder of this server."""
    error, reason = line.get("error"), line.get("reason")
    if isinstance(reason, str):
        line = {**line, "reason": public(reason)}
    if not isinstance(error, dict):
        return line
    return {**line, "error": {name: public(text) if isinstance(text, str) else text for name, text in error.items()}}


@functools.cache
def _adapter() -> TypeAdapter[TrainingEvent]:
    return TypeAdapter(Annotated[TrainingEvent, Field(discriminator="event")])
