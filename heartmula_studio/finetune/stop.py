"""Stop-and-save: a request to end after the current step."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from heartmula_studio.finetune.run_folder import RunFolder

SignalHandler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class StopRequest:
    """Collects SIGTERM, SIGINT and the file `stop` in the run's folder while its block runs.

    Repeated signals change nothing: a Ctrl-C in a terminal reaches a worker twice, from the terminal and from its
    launcher, and must not cut the saving short.
    """

    def __init__(self, folder: RunFolder):
        self._file = folder.stop
        self._signalled = False
        self._previous: dict[int, SignalHandler] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def is_requested(self) -> bool:
        return self._signalled or self._file.exists()

    def acknowledge(self) -> None:
        """Remove the `stop` file once it is obeyed, so that the job can be resumed."""
        self._file.unlink(missing_ok=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
