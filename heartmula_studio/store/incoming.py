"""A file on its way in: streamed to disk under a temporary name, counted and hashed on the way."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from heartmula_studio.errors import UploadTooLargeError
from heartmula_studio.files.atomic import TEMPORARY_PREFIX, flush_to_disk
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.locks import Locks
from heartmula_studio.files.moving import move, remove
from heartmula_studio.store.names import safe_filename, split_suffix

UPLOAD = "upload"
UPLOAD_LIMIT, IMPORT_LIMIT = "HEARTMULA_MAX_UPLOAD_BYTES", "HEARTMULA_MAX_IMPORT_BYTES"


class Incoming:
    """A file that is being received. `path` holds all that has been written so far; `limit` names what sets
    `max_bytes`."""

    def __init__(self, path: Path, file: FileIO, original_name: str, max_bytes: int, limit: str = UPLOAD_LIMIT):
        self.path = path
        self.original_name = original_name
        self.size_bytes = 0
        self._file = file
        self._hash = hashlib.sha256()
        self._max_bytes, self._limit = max_bytes, limit

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append. Raises UploadTooLargeError over the limit, StorageError where the disk refuses."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._max_bytes:
            raise UploadTooLargeError(
                f"{safe_filename(self.original_name)} is over the limit of {self._max_bytes:,} bytes.",
                f"Give a smaller file, or raise {self._limit}.",
            )
        self._hash.update(chunk)
        with disk_explained(self.path):
            left = memoryview(chunk)
            while left:
                left = left[self._file.write(left) :]

    def move_to(self, path: Path) -> None:
        """Give the file its final place, in the same file system; nothing can be written after."""
        self._file.close()
        flush_to_disk(self.path)
        move(self.path, path)
        flush_to_disk(path.parent)


@contextmanager
def receiving(
    folder: Path, original_name: str, max_bytes: int, locks: Locks, limit: str = UPLOAD_LIMIT
) -> Iterator[Incoming]:
    """Yield an `Incoming` in `folder` that vanishes at the end unless it was moved. A killed process leaves it locked
    by nobody, which is how `remove_abandoned` knows it."""
    suffix = split_suffix(safe_filename(original_name))[1]
    with locks.lease(UPLOAD) as name:
        path = folder / f"{TEMPORARY_PREFIX}{name}{suffix}"
        try:
            with disk_explained(path):
                file = path.open("xb", buffering=0)  # a buffer would try a full disk once more at the end
            with file:
                yield Incoming(path, file, original_name, max_bytes, limit)
        finally:
            remove(path)


def remove_abandoned(folder: Path, locks: Locks) -> None:
    """Remove what killed processes were receiving in `folder`."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}{UPLOAD}-*"):
        name = path.name.removeprefix(TEMPORARY_PREFIX).partition(".")[0]
        with locks.attempt(name) as is_free:
            if is_free:
                remove(path)
