"""How far a job is, read from the files its worker writes."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.jsonl import ENDINGS, last_line, lines_after, lines_backwards
from heartmula_studio.files.public_text import public
from heartmula_studio.files.regular_file import NotRegularFileError, open_regular
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.records import UNDER_WAY, Job

MAX_TEXT_BYTES = 1 << 20
MAX_UTF8_BYTES = 4
FOLLOW_SEC = 0.25
LOSS_DIGITS = 4
MAX_NUMBER = 1e9

Event = tuple[int, dict[str, Any]]


def with_progress(job: Job, folder: JobFolder) -> Job:
    """Fill in what the worker has done so far."""
    job = replace(job, **MetricsSummary.read(folder.metrics).fields())
    if job.status != "running":
        return job
    if not folder.dataset.is_dir():
        return replace(job, phase="tokenising", message=listening(last_line(folder.preprocess)))
    event = last_line(folder.metrics).get("event")
    is_over = event in ENDINGS or (job.total_steps is not None and job.step >= job.total_steps)
    return replace(job, phase="saving" if is_over else "training", message=doing(job, folder))


def doing(job: Job, folder: JobFolder) -> str:
    if folder.stop.exists():
        return "Saves and stops after this step."
    return f"Step {job.step} of {job.total_steps}." if job.total_steps else "Loads the base model."


def listening(line: dict[str, Any]) -> str:
    """Put a line of preprocess.jsonl into words."""
    if not line:
        return "Prepares to listen to the songs."
    place = f"song {line.get('song_index')} of {line.get('songs')}: {line.get('song')}"
    total = number(line, "total")
    return f"Listens to {place} ({100 * (number(line, 'done') or 0) // total:g} %)." if total else f"Stuck at {place}."


@dataclass(frozen=True)
class MetricsSummary:
    """The lines of metrics.jsonl that a job's record is filled from; empty where there is no such line yet."""

    start: dict[str, Any]
    first_eval: dict[str, Any]
    last_eval: dict[str, Any]
    last_step: dict[str, Any]

    @classmethod
    def read(cls, metrics: Path) -> "MetricsSummary":
        """Read the ends of the file: it may be long."""
        head: dict[str, dict] = {}
        for _, line in lines_after(metrics, 0):
            event = str(line.get("event"))
            if event == "step":
                break
            head.setdefault(event, line)
        wanted = {"step", "eval"} if "eval" in head else {"step"}
        tail: dict[str, dict] = {}
        for line in lines_backwards(metrics) if head else ():
            tail.setdefault(str(line.get("event")), line)
            if wanted <= tail.keys():
                break
        return cls(head.get("start", {}), head.get("eval", {}), tail.get("eval", {}), tail.get("step", {}))

    def fields(self) -> dict[str, Any]:
        """The fields of `Job` that it tells."""
        step = self.last_step
        return {
            "progress": min(float(number(step, "progress") or 0), 100.0),
            "epoch": int(number(step, "epoch") or 0),
            "step": int(number(step, "step") or 0),
            "total_steps": whole(number(self.start, "total_steps")),
            "loss": rounded(number(step, "loss")),
            "initial_loss": rounded(number(self.first_eval, "loss")),
            "eval_loss": rounded(number(self.last_eval, "loss")),
            "eta_sec": number(step, "eta_sec"),
        }


def number(line: dict[str, Any], name: str) -> float | None:
    """The number of this name in a line; None where there is none, or one that it cannot be."""
    value = line.get(name)
    return value if isinstance(value, int | float) and 0 <= value <= MAX_NUMBER else None


def whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, LOSS_DIGITS)


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


def public_line(line: dict[str, Any]) -> dict[str, Any]:
    """A line of metrics.jsonl as it is handed out: that of a failure names no folder of this server."""
    error = line.get("error")
    if not isinstance(error, dict):
        return line
    return {**line, "error": {name: public(text) if isinstance(text, str) else text for name, text in error.items()}}


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
