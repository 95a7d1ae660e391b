"""What the disk refuses, in words a person can act on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heartmula_studio.errors import StorageError
from heartmula_studio.files.moving import is_in_use

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOO_LONG_FOR_WINDOWS = (3, 206)  # ERROR_PATH_NOT_FOUND, which is what it says, and ERROR_FILENAME_EXCED_RANGE
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def disk_explained(path: Path) -> Iterator[None]:
    """Raise StorageError, naming `path` and what to do, for any OSError inside."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written or read: {error.strerror or error}.", _hint(error)) from error


def _hint(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG or getattr(error, "winerror", None) in _TOO_LONG_FOR_WINDOWS:
        return "Choose a data folder with a shorter path (HEARTMULA_DATA_DIR), or allow long paths in Windows."
    if is_in_use(error):
        return "Another program has it open, a player say: close that, then try again."
    if error.errno in _FULL:
        return "The disk is full or the file is over its limit: make room, then try again."
    if error.errno in _FORBIDDEN:
        return "Allow this user to write there, or choose another data folder with HEARTMULA_DATA_DIR."
    return "Check the disk, then try again."
