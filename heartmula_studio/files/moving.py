"""Renaming and removing what others may have open.

Windows refuses that as long as anybody, a virus scanner say, has the file open; elsewhere readers go on undisturbed.
"""

import time
from collections.abc import Callable
from pathlib import Path

IN_USE = (5, 32)  # ERROR_ACCESS_DENIED, also for a folder that holds an open file, and ERROR_SHARING_VIOLATION
WAIT_SEC = 3.0
POLL_SEC = 0.05


def move(source: Path, target: Path) -> None:
    """Give a file or folder the name `target`, in place of a file of that name. Raises OSError."""
    _when_free(lambda: source.replace(target))


def remove(path: Path) -> None:
    """Remove a file if it is there. Raises OSError."""
    _when_free(lambda: path.unlink(missing_ok=True))


def is_in_use(error: OSError) -> bool:
    """Whether Windows refused something because of an open file."""
    return getattr(error, "winerror", None) in IN_USE


def _when_free(action: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SEC
    while True:
        try:
            action()
            return
        except OSError as error:
            if not is_in_use(error) or time.monotonic() > deadline:
                raise
        time.sleep(POLL_SEC)
