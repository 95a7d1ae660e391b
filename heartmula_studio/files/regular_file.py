"""Opening files that anything may lie in place of: a pipe, a folder or a device is refused at once, not waited for."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for its other end; Windows has none among its files


class NotRegularFileError(OSError):
    """There is something else at the path: a folder, a pipe, a socket or a device."""

    def __init__(self, path: Path):
        super().__init__(errno.EINVAL, "it is not a regular file", str(path))


def open_regular(path: Path, append: bool = False, create: bool = True) -> BinaryIO:
    """Open for reading, or for appending to a file that, with `create`, is made where there is none.

    Raises NotRegularFileError, and OSError as `open`.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, (flags if create else flags & ~os.O_CREAT) | _WITHOUT_WAITING, 0o666)

    try:
        file: BinaryIO = open(path, "ab" if append else "rb", opener=opener)  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EISDIR) or path.is_dir():  # Windows forbids to open a folder
            raise NotRegularFileError(path) from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegularFileError(path)
    return file
