"""Answers that memory holds are given at once, by the thread that serves everyone; all others by a thread of their own.

What reads files or computes for long calls `leave_memory` first, so that a caller need not know what it will take.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


class NotInMemoryError(Exception):
    """The answer takes more than a look at a few files' time stamps."""


@contextmanager
def memory_only() -> Iterator[None]:
    """Let this thread only take what is at hand: in the block, `leave_memory` raises NotInMemoryError."""
    _thread.must_not_wait = True
    try:
        yield
    finally:
        _thread.must_not_wait = False


def must_not_wait() -> bool:
    """Tell whether this thread may only take what is at hand."""
    return getattr(_thread, "must_not_wait", False)


def leave_memory() -> None:
    """Raises NotInMemoryError where this thread must not wait."""
    if must_not_wait():
        raise NotInMemoryError
