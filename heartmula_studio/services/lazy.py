"""Parts of the studio that need torch, whose import takes seconds: a server that only lists things does without."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """A part made by the first thread that asks for it, while others that ask wait; after an error, made anew."""

    def __init__(self, make: Callable[[], T]):
        self._make = make
        self._lock = threading.Lock()
        self._part: T | None = None

    def get(self) -> T:
        """Return the part. Raises as what makes it."""
        with self._lock:
            if self._part is None:
                self._part = self._make()
            return self._part

    @property
    def made(self) -> T | None:
        """The part if it has been made, without waiting."""
        return self._part
