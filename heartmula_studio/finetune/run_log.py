"""Metrics (JSONL) and the human-readable log of a run, written by its main process only."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from heartmula_studio.errors import StudioError
from heartmula_studio.finetune.events import FailedEvent, TrainingEvent, to_json
from heartmula_studio.finetune.run_folder import RunFolder


class RunLog:
    """Append to metrics.jsonl and logs.txt; each line is on its way to disk when the call returns.

    Files are opened per line, so that a reader or a person may move them away at any time.
    """

    def __init__(self, folder: RunFolder, enabled: bool):
        self._metrics, self._logs, self._enabled = folder.metrics, folder.logs, enabled

    def record(self, event: TrainingEvent) -> None:
        """Append one event to metrics.jsonl."""
        self._append(self._metrics, to_json(event))

    def say(self, text: str) -> None:
        """Append one line with the time to logs.txt."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        self._append(self._logs, f"{now}  {text}")

    def fail(self, error: StudioError) -> None:
        """Record why the run ended, as far as the disk lets: what ended the run may be that it is full."""
        with suppress(OSError):
            self.record(FailedEvent.of(error))
        with suppress(OSError):
            self.say(f"Failed: {error}")

    def metrics_bytes(self) -> int:
        """Return the length of metrics.jsonl, all of it on disk."""
        if not self._metrics.exists():
            return 0
        with self._metrics.open("rb") as file:
            os.fsync(file.fileno())
        return self._metrics.stat().st_size

    def rewind(self, metrics_bytes: int) -> None:
        """Drop what was recorded after the saved state, so that the resumed run continues one clean curve."""
        if self._enabled and self.metrics_bytes() > metrics_bytes:
            os.truncate(self._metrics, metrics_bytes)

    def _append(self, path: Path, line: str) -> None:
        if not self._enabled:
            return
        with path.open("ab", buffering=0) as file:
            start, data = file.seek(0, os.SEEK_END), f"{line}\n".encode()
            try:
                while data:
                    data = data[file.write(data) :]
            except OSError:
                with suppress(OSError):  # it may be no file that can be cut
                    file.truncate(start)  # part of a line would spoil the next one
                raise
