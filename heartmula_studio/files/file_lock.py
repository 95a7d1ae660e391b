"""Files held open under an exclusive lock: the system's own word on whether whoever holds one still lives.

The lock is the system's, `flock` or on Windows `LockFileEx`, and is free the moment its holder ends, however it ends.
With `flock` it belongs to the open file: a child that inherits it, as its standard input say, holds it too, and so do
the child's children. On Windows it belongs to the process, and a child locks what it inherits anew: `lock_input`.
There nobody else can read the start of a locked file either, so these files stay empty.
"""

import os
import time
from pathlib import Path
from typing import BinaryIO

from filelock import lock_descriptor

from heartmula_studio.files.regular_file import NotRegularFileError, open_regular

PROBES = 3
PROBE_SEC = 0.01
INPUT = 0


def try_lock(path: Path) -> BinaryIO | None:
    """Open `path` for appending and hold it until it is closed; None where somebody holds it already.

    Raises OSError where it cannot be opened, at once also where a pipe is in its place.
    """
    file = open_regular(path, append=True)
    try:
        if _try_descriptor(file.fileno()):
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds `path`; a file that is not there is free, and is not made."""
    try:
        file = open_regular(path, append=True, create=False)
    except (FileNotFoundError, NotRegularFileError):
        return False
    with file:
        return not _try_descriptor(file.fileno())


def lock_input(path: Path, wait_sec: float = 10.0) -> bool:
    """Hold `path` on this process's standard input, which all that it starts or turns into inherits; False where others
    hold it for `wait_sec`.

    Where it was inherited so already, whoever started this process is waited for. Raises OSError as `try_lock`.
    """
    if not (path.exists() and os.path.samestat(os.fstat(INPUT), path.stat())):
        with open_regular(path, append=True) as file:
            os.dup2(file.fileno(), INPUT)
    deadline = time.monotonic() + wait_sec
    while not _try_descriptor(INPUT):
        if time.monotonic() > deadline:
            return False
    return True


def _try_descriptor(descriptor: int) -> bool:
    """Lock an open file if it is free. Another's `is_locked` may hold it for a moment, which must not count."""
    for attempt in range(PROBES):
        if attempt:
            time.sleep(PROBE_SEC)
        if lock_descriptor(descriptor, blocking=False):
            return True
    return False
