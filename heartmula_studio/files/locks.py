"""Locks between threads, processes and servers that share one data folder."""

import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from heartmula_studio.errors import ConflictError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.moving import is_in_use

WAIT_SEC = 60.0
POLL_SEC = 0.01
LET_GO_SEC = 1.0  # what says that it has ended holds its lock for a moment yet

_NAME = re.compile(r"[a-z0-9-]{1,100}")
_log = logging.getLogger(__name__)


class Locks:
    """Named locks, one file each under `folder`. The system frees what a killed process held."""

    def __init__(self, folder: Path):
        self._folder = folder

    @contextmanager
    def hold(self, name: str, wait_sec: float = WAIT_SEC) -> Iterator[None]:
        """Hold the lock of this name; within a thread it can be taken again.

        Raises ConflictError when others do not let go of it for `wait_sec` seconds, StorageError at once where it
        cannot be opened.
        """
        lock = self._lock(name)
        if not self._acquired(lock, name, wait_sec):
            raise ConflictError(f"{name} has been in use for {wait_sec:g} s.", "Try again later.")
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def attempt(self, name: str, wait_sec: float = 0.0) -> Iterator[bool]:
        """Hold the lock if it is free within `wait_sec` seconds, and tell whether it was.

        Raises StorageError where it cannot be opened.
        """
        lock = self._lock(name)
        if not self._acquired(lock, name, wait_sec):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    @contextmanager
    def lease(self, kind: str) -> Iterator[str]:
        """Yield a new name, `kind` and a random part, that is locked until the block ends in whatever thread."""
        name = f"{kind}-{secrets.token_hex(8)}"
        lock = FileLock(self._path(name), thread_local=False)
        with disk_explained(self._path(name)):
            lock.acquire()
        try:
            yield name
        finally:
            self.forget(name)
            lock.release()

    def forget(self, name: str) -> None:
        """Remove the file of a lock that is held now and that nobody will need again; if it stays, no harm is done."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            if not is_in_use(error):  # Windows removes it when it is let go of
                _log.warning("The lock %s cannot be removed: %s", name, error)

    def recover(self) -> None:
        """Remove the files of locks that nobody holds; who waits for one makes it anew."""
        for path in self._folder.glob("*.lock"):
            if path.is_file() and _NAME.fullmatch(path.stem):
                with self.attempt(path.stem) as is_free:
                    if is_free:
                        self.forget(path.stem)

    def _acquired(self, lock: FileLock, name: str, wait_sec: float) -> bool:
        with disk_explained(self._path(name)):
            try:
                lock.acquire(timeout=wait_sec, poll_interval=POLL_SEC)
            except Timeout:
                return False
        return True

    def _lock(self, name: str) -> FileLock:
        # One instance a path, counting by thread: that is what lets a thread take a lock it already holds.
        return FileLock(self._path(name), is_singleton=True, thread_local=True)

    def _path(self, name: str) -> Path:
        assert _NAME.fullmatch(name), name
        return self._folder / f"{name}.lock"
