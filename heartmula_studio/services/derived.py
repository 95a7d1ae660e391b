"""Values made of others, and made anew only when these are others."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Derived(Generic[T]):
    """What `make` makes of values that do not change themselves: the last one. Any thread may call it."""

    def __init__(self, make: Callable[..., T]):
        self._make = make
        self._kept: tuple[tuple[Any, ...], T] | None = None

    def of(self, *values: Any) -> T:
        """Return the same object as before where the values are equal to those before. Raises as `make`."""
        kept = self._kept
        if kept is None or kept[0] != values:
            self._kept = kept = values, self._make(*values)
        return kept[1]
