"""Parts of the studio that need torch, whose import takes seconds: a server that only lists things does without."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """A part made by the first thread that asks for it, while others that ask wait; after an error, made anew.

    of: the part that it is made of; where that has become another, it is made anew, too.
    """

    def __init__(self, make: Callable[[], T], of: "Lazy[Any] | None" = None):
        self._make, self._of = make, of
        self._lock = threading.Lock()
        self._part: T | None = None
        self._made_of: object = None

    def get(self) -> T:
        """Return the part. Raises as what makes it."""
        source = self._of.get() if self._of else None
        with self._lock:
            if self._part is None or self._made_of is not source:
                self._part, self._made_of = self._make(), source
            return self._part

    def renew(self) -> bool:
        """Make the part once more if there is one, and tell whether another came of it, which takes its place.

        Raises as what makes it; there is none then.
        """
        with self._lock:
            if self._part is None:
                return False
            try:
                made = self._make()
            except BaseException:
                self._part = None
                raise
            is_other = made != self._part
            self._part = made if is_other else self._part
            return is_other

    @property
    def made(self) -> T | None:
        """The part if it has been made, without waiting."""
        return self._part
