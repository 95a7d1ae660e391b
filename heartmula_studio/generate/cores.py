"""Songs on several cores: the language model goes ahead in a thread of its own while others turn codes into sound."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

import torch

from heartmula_studio.codec.control import Cancelled

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_cores(device: torch.device) -> int:
    """Return how many cores PyTorch may use; 1 where a GPU does the work, which has a queue of its own."""
    return torch.get_num_threads() if device.type == "cpu" else 1


class ReadAhead(Generic[Item]):
    """Items that a thread makes ahead of whoever reads them; any thread may read. An error is raised in all of them."""

    def __init__(self, items: Iterator[Item], num_threads: int = 1):
        """num_threads: of PyTorch's, while an item is made."""
        self._items, self._num_threads = items, num_threads
        self._made: SimpleQueue[Item | BaseException] = SimpleQueue()
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._make, name="ahead", daemon=True)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        item = self._made.get()
        if isinstance(item, BaseException):
            self._made.put(item)  # for the next one who asks
            raise item
        return item

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Wait for the item that is being made; no other is."""
        self._is_left.set()
        self._thread.join()

    def _make(self) -> None:
        torch.set_num_threads(self._num_threads)
        try:
            for item in self._items:
                self._made.put(item)
                if self._is_left.is_set():
                    break
            self._made.put(StopIteration())
        except BaseException as error:  # raised where it is read
            self._made.put(error)


@contextmanager
def read_ahead(items: Iterator[Item], cores: int) -> Iterator[Iterator[Item]]:
    """Yield the items, which a thread of its own makes where there is a second core; it is over once this is left."""
    if cores == 1:
        yield items
        return
    ahead = ReadAhead(items, cores - 1)  # as many as there are cores would wait for whoever turns codes into sound
    ahead.start()
    try:
        yield ahead
    finally:
        ahead.stop()
        torch.set_num_threads(cores)  # as in `each_done`


def each_done(
    work: Callable[[int, Cancelled | None], Result], numbers: Sequence[int], cores: int, cancelled: Cancelled | None
) -> Iterator[tuple[int, Result]]:
    """Do the work of each number, as many at once as there are cores; yield its number and result once it is done.

    `work` is given its number, and what cancels it: also an error in another one, which is raised here.
    """
    if cores == 1:
        yield from ((number, work(number, cancelled)) for number in numbers)
        return
    has_failed = threading.Event()
    cancelled_or_failed = partial(_is_any, has_failed, cancelled)
    workers = min(cores, len(numbers))
    threads_each = max(1, (cores - 1) // workers)  # one core is the language model's
    try:
        with ThreadPoolExecutor(workers, "sound", torch.set_num_threads, (threads_each,)) as pool:
            futures = {pool.submit(work, number, cancelled_or_failed): number for number in numbers}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                has_failed.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(cores)  # threads that begin later take the number that was set last


def _is_any(has_failed: threading.Event, cancelled: Cancelled | None) -> bool:
    return has_failed.is_set() or (cancelled is not None and cancelled())
