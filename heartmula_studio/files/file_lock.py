"""Files held open under an exclusive lock: the system's own word on whether whoever holds one still lives.

The lock belongs to the open file, so a child that inherits it as its standard output holds it too, and so do the
child's children. It is free the moment the last of them ends, however they end.
"""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from heartmula_studio.files.regular_file import open_regular


def try_lock(path: Path) -> BinaryIO | None:
    """Open `path` for appending and hold it until it is closed; None where somebody holds it already.

    Raises OSError where it cannot be opened, at once also where a pipe is in its place.
    """
    file = open_regular(path, append=True)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except BaseException:
        file.close()
        raise
    return file


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds `path`; a file that is not there is free, and is not made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
