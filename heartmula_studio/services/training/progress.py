"""Progress of a job, read from the files its worker writes."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.jsonl import lines_after
from heartmula_studio.files.kept_file import Stamp, stamp_of
from heartmula_studio.files.memory_only import leave_memory, must_not_wait
from heartmula_studio.files.public_text import public
from heartmula_studio.files.regular_file import NotRegularFileError, open_regular
from heartmula_studio.finetune.events import (
    ENDINGS,
    EvalEvent,
    StartEvent,
    StepEvent,
    TrainingEvent,
    last_event,
    public_line,
    read_backwards,
    read_events,
)
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.tokenizing_progress import TokenizingProgress, last_progress
from heartmula_studio.store.records import UNDER_WAY, Job

MAX_TEXT_BYTES = 1 << 20
MAX_UTF8_BYTES = 4
MAX_KEPT_JOBS = 16  # more than run at once
FOLLOW_SEC = 0.25
LOSS_DIGITS = 4

E = TypeVar("E", bound=TrainingEvent)
Event = tuple[int, dict[str, Any]]


def with_progress(job: Job, folder: JobFolder) -> Job:
    """Fill in what the worker has done so far."""
    job = replace(job, **MetricsSummary.read(folder.metrics).fields())
    if job.status != "running":
        return job
    if not (job.catalogue or folder.dataset.is_dir()):
        return replace(job, phase="tokenising", message=listening(last_progress(folder.preprocess)))
    is_over = isinstance(last_event(folder.metrics), ENDINGS) or (
        job.total_steps is not None and job.step >= job.total_steps
    )
    return replace(job, phase="saving" if is_over else "training", message=doing(job, folder))


class LiveProgress:
    """Jobs that run, as `with_progress` gives them, read again when their workers have written something.

    Who must not wait has it read `FOLLOW_SEC` after the last time, and gets what is known until then: a step may take
    less than reading it does.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Job, list[Stamp | None], Job]] = {}
        self._read_next = 0.0

    def of(self, job: Job, folder: JobFolder) -> Job:
        """Return the job with its progress, the same object for as long as that is the same."""
        stamps = [stamp_at(path) for path in (folder.metrics, folder.preprocess, folder.dataset, folder.stop)]
        kept = self._kept.get(job.id)
        if kept is None or kept[0] is not job or (kept[1] != stamps and not self._is_too_soon()):
            leave_memory()
            kept = job, stamps, with_progress(job, folder)
            if len(self._kept) >= MAX_KEPT_JOBS:
                self._kept.clear()
            self._kept[job.id] = kept
        return kept[2]

    def _is_too_soon(self) -> bool:
        now = time.monotonic()
        if must_not_wait() and now < self._read_next:
            return True
        self._read_next = now + FOLLOW_SEC
        return False


def stamp_at(path: Path) -> Stamp | None:
    """The stamp of a file or folder, None without one."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None


def doing(job: Job, folder: JobFolder) -> str:
    if folder.stop.exists():
        return "Saving, then stopping after this step."
    return f"Step {job.step} of {job.total_steps}." if job.total_steps else "Loading the base model."


def listening(progress: TokenizingProgress | None) -> str:
    """Put it into words."""
    if progress is None:
        return "Preparing to listen to the songs."
    place = f"song {progress.song_index} of {progress.songs}: {progress.song}"
    if not progress.total:
        return f"Stuck at {place}."
    return f"Listening to {place} ({100 * (progress.done or 0) // progress.total} %)."


@dataclass(frozen=True)
class MetricsSummary:
    """The events that a job's record is filled from; None where there is no such event yet."""

    start: StartEvent | None
    first_eval: EvalEvent | None
    last_eval: EvalEvent | None
    last_step: StepEvent | None

    @classmethod
    def read(cls, metrics: Path) -> "MetricsSummary":
        """Read the ends of the file: it may be long."""
        head = list(takewhile(lambda event: not isinstance(event, StepEvent), read_events(metrics)))
        first_eval = first_of(EvalEvent, head)
        last_eval, last_step = None, None
        for event in read_backwards(metrics):
            if isinstance(event, EvalEvent):
                last_eval = last_eval or event
            elif isinstance(event, StepEvent):
                last_step = last_step or event
            if last_step and (last_eval or not first_eval):
                break
        return cls(first_of(StartEvent, head), first_eval, last_eval, last_step)

    def fields(self) -> dict[str, Any]:
        """The fields of `Job` that it tells."""
        step = self.last_step
        return {
            "progress": step.progress if step else 0.0,
            "epoch": step.epoch if step else 0,
            "step": step.step if step else 0,
            "total_steps": self.start.total_steps if self.start else None,
            "loss": rounded(step),
            "initial_loss": rounded(self.first_eval),
            "eval_loss": rounded(self.last_eval),
            "eta_sec": step.eta_sec if step else None,
        }


def first_of(kind: type[E], events: Iterable[TrainingEvent]) -> E | None:
    return next((event for event in events if isinstance(event, kind)), None)


def rounded(event: StepEvent | EvalEvent | None) -> float | None:
    """The loss of an event as a record shows it."""
    return None if event is None else round(event.loss, LOSS_DIGITS)


def read_text(path: Path, offset: int) -> tuple[str, int]:
    """Read a log from a byte offset: the text, at most 1 MiB, and where to go on. No character is ever cut in two.

    Raises InvalidInputError for a negative offset.
    """
    if offset < 0:
        raise InvalidInputError(f"The offset is {offset}.", "Give 0, or the offset that came with the last text.")
    try:
        with open_regular(path) as file:
            offset = min(offset, file.seek(0, 2))
            file.seek(offset)
            raw = whole_characters(file.read(MAX_TEXT_BYTES))
    except (FileNotFoundError, NotRegularFileError):
        return "", 0
    return public(raw.decode("utf-8", "replace")), offset + len(raw)


def whole_characters(raw: bytes) -> bytes:
    """Drop a character at the end that has not been written whole."""
    for length in range(1, min(MAX_UTF8_BYTES, len(raw) + 1)):
        byte = raw[-length]
        if byte & 0b1100_0000 != 0b1000_0000:  # the first byte of a character, or all of it
            needed = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return raw[:-length] if needed > length else raw
    return raw


def follow(metrics: Path, status: Callable[[], str], after: int, stop: threading.Event) -> Iterator[Event]:
    """Yield (offset behind the line, line) of metrics.jsonl as lines come; last of all `end` with the job's status.

    Ends without it when `stop` is set.
    """
    position = after
    while not stop.is_set():
        try:
            now = status()  # asked before reading: what is written before the end is read before the end
        except NotFoundError:
            now = "deleted"
        for end, line in lines_after(metrics, position):
            position = end
            yield end, public_line(line)
        if now not in UNDER_WAY:
            yield position, {"event": "end", "status": now}
            return
        if metrics.is_file():
            position = min(position, metrics.stat().st_size)  # a resumed run drops what it will do again
        stop.wait(FOLLOW_SEC)
