"""Work that many ask for at the same moment, done once for all of them."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")


class SharedWork(Generic[T]):
    """Runs work of the same name in one thread after the other. Whoever asks gets what was begun afterwards.

    To be called from an event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, asyncio.Task[T]] = {}
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def run(self, name: Hashable, work: Callable[[], T]) -> T:
        """Return what `work` returns, or that of another who asked for the same. Raises as it does."""
        key = asyncio.get_running_loop(), name
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.create_task(self._in_turn(key, work))
        return await asyncio.shield(task)  # the others want it although one of them has left

    async def _in_turn(self, key: Hashable, work: Callable[[], T]) -> T:
        if before := self._running.get(key):
            await asyncio.wait([before])
        self._running[key] = self._waiting.pop(key)
        try:
            return await run_in_threadpool(work)
        finally:
            del self._running[key]
