"""Opening files that anything may lie in place of: a pipe, a folder or a device is refused at once, not waited for."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class NotRegularFileError(OSError):
    """There is something else at the path: a folder, a pipe, a socket or a device."""

    def __init__(self, path: Path):
        super().__init__(errno.EINVAL, "it is not a regular file", str(path))


def open_regular(path: Path, append: bool = False) -> BinaryIO:
    """Open for reading, or for appending to a file that is made where there is none.

    Raises NotRegularFileError, and OSError as `open`.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT if append else os.O_RDONLY
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)  # a pipe would wait for its other end
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EISDIR):
            raise NotRegularFileError(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularFileError(path)
    return os.fdopen(descriptor, "ab" if append else "rb")
