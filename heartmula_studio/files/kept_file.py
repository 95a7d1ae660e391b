"""Values of files, kept for as long as the files stay as they are."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from heartmula_studio.files.memory_only import leave_memory

T = TypeVar("T")
Stamp = tuple[int, int, int]

SETTLED_SEC = 0.1  # a file younger than this may change again without its time stamp telling


def stamp_of(status: os.stat_result) -> Stamp:
    """What tells a file, or a folder's list of names, from what was there before."""
    return status.st_mtime_ns, status.st_ino, status.st_size


def is_settled(status: os.stat_result) -> bool:
    """Tell whether the next change will give another stamp."""
    return time.time() - status.st_mtime > SETTLED_SEC


class KeptFile(Generic[T]):
    """The value of one file. Any thread may call it."""

    def __init__(self, path: Path, read: Callable[[Path], T]):
        self._path, self._read = path, read
        self._kept: tuple[Stamp, T] | None = None

    def get(self) -> T:
        """Raises FileNotFoundError without the file, and as `read` does."""
        try:
            status, kept = os.stat(self._path), self._kept
        except FileNotFoundError:
            raise
        except OSError:
            return self._read(self._path)  # says it in its own words
        if kept is not None and kept[0] == stamp_of(status):
            return kept[1]
        leave_memory()
        value = self._read(self._path)
        if is_settled(status):
            self._kept = stamp_of(status), value
        return value
