"""A run's two diaries: metrics.jsonl for programs, logs.txt for people. Written by the main process only."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heartmula_studio.errors import StudioError


class RunLog:
    """Append to the files of one job folder; each line is on its way to disk when the call returns.

    Files are opened per line, so that a reader or a person may move them away at any time.
    """

    def __init__(self, job_dir: Path, enabled: bool):
        self._metrics = job_dir / "metrics.jsonl"
        self._logs = job_dir / "logs.txt"
        self._enabled = enabled

    def record(self, event: str, **values: Any) -> dict[str, Any]:
        """Append one line to metrics.jsonl and return it."""
        line = {"event": event, **values}
        self._append(self._metrics, json.dumps(line, allow_nan=False))
        return line

    def say(self, text: str) -> None:
        """Append one line with the time to logs.txt."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        self._append(self._logs, f"{now}  {text}")

    def fail(self, error: StudioError) -> None:
        """Record why the run ended, as far as the disk lets: what ended the run may be that it is full."""
        with suppress(OSError):
            self.record("failed", error={"code": error.code, "message": error.message, "hint": error.hint})
        with suppress(OSError):
            self.say(f"Failed: {error}")

    def last_event(self) -> str | None:
        """Read how far the run got from its last line in metrics.jsonl, None without one."""
        lines = self._metrics.read_text(encoding="utf-8").splitlines() if self._metrics.is_file() else []
        return json.loads(lines[-1])["event"] if lines else None

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
