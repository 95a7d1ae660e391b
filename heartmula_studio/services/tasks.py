"""What takes a server long, in a thread of its own or in that of whoever waits for it: how far it is, and stopping it.

A task goes through tracks one by one. What it is, and what becomes of each track, is known to whoever runs it alone.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar

from heartmula_studio.errors import CancelledError, ConflictError, StudioError
from heartmula_studio.store.records import Failure
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import Task

MAX_ENDED = 100
STOPPED = "The work was stopped.", "Start it again when you like."

_log = logging.getLogger(__name__)

State = TypeVar("State", bound=Task)
Begun = TypeVar("Begun")


class RunningTask(Generic[State]):
    """A task that is going on. Only whoever runs it changes its `state`, and asks whether it is to stop."""

    def __init__(self, state: State, closing: threading.Event):
        self.state = state
        self._cancelled, self._closing = threading.Event(), closing

    def is_cancelled(self) -> bool:
        return self._closing.is_set() or self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def check(self) -> None:
        """Raises CancelledError where it is to stop."""
        if self.is_cancelled():
            raise CancelledError(*STOPPED)

    def begin(self, track: str) -> None:
        """Go on to the next track. Raises CancelledError where it is to stop."""
        self.check()
        self.change(track=track)

    def note_progress(self, done: int, total: int) -> None:
        """Note how far it is with the track at hand."""
        self.change(of_track=done / max(total, 1))

    def change(self, of_track: float = 0.0, **changes: Any) -> None:
        """Change fields of its state; `of_track` is how much of the track at hand is done, from 0 to 1."""
        state = replace(self.state, **changes)
        self.state = replace(state, progress=min(100.0, 100 * (state.done + of_track) / max(state.total, 1)))


class Tasks(Generic[State]):
    """Tasks of one kind. Any thread may call any method. Two servers of one data folder never run one task at once."""

    def __init__(self, store: Store, closing: threading.Event, what_is_busy: str):
        """Once `closing` is set, all stop within moments. what_is_busy: the sentence for a task that is begun twice."""
        self._store, self._closing, self._what_is_busy = store, closing, what_is_busy
        self._tasks: dict[str, RunningTask[State]] = {}
        self._threads: list[threading.Thread] = []

    def find(self, name: str) -> State | None:
        """The state of a task that goes on, or of the last one of this name."""
        task = self._tasks.get(name)
        return task.state if task else None

    def states(self) -> list[State]:
        """The states of all tasks, those that were begun first in front."""
        return [task.state for task in list(self._tasks.values())]

    def cancel(self, name: str) -> State:
        """Stop a task within moments. Raises ConflictError where it does not go on in this server."""
        task = self._tasks.get(name)
        if task is None or task.state.status != "running":
            raise ConflictError(
                "Nothing is running here that could be stopped.", "Only what is running here can be stopped."
            )
        task.cancel()
        return task.state

    @contextmanager
    def running(self, name: str, state: State) -> Iterator[RunningTask[State]]:
        """Run a task in this thread, in the block: its state says how that ends.

        name: letters, digits and dashes. Raises ConflictError while a task of this name goes on.
        """
        with self._store.attempt_next(name) as is_free:
            if not is_free:
                raise ConflictError(self._what_is_busy, "Wait until that is done, or cancel it.")
            task = RunningTask(replace(state, status="running"), self._closing)
            self._forget_ended()
            self._tasks.pop(name, None)
            self._tasks[name] = task
            try:
                yield task
                task.state = replace(task.state, status="completed", track="")
            except (CancelledError, GeneratorExit):  # the latter where nobody reads on
                task.state = replace(task.state, status="cancelled", track="")
                raise
            except BaseException as error:
                task.state = replace(task.state, status="failed", error=_failure(error))
                raise

    def start(self, begin: Callable[[], AbstractContextManager[Begun]], work: Callable[[Begun], None]) -> Begun:
        """Work in a thread of its own, within the block that `begin` opens there; return what that yields.

        Raises what keeps the block from opening. What ends the work later is in the state of the task.
        """
        begun: Future[Begun] = Future()
        thread = threading.Thread(target=_work, args=(begin, work, begun), daemon=True)
        thread.start()
        self._threads = [thread, *(other for other in self._threads if other.is_alive())]
        return begun.result()

    def close(self) -> None:
        """Wait for the threads, once `closing` is set."""
        for thread in self._threads:
            thread.join()

    def _forget_ended(self) -> None:
        ended = [name for name, task in self._tasks.items() if task.state.status != "running"]
        for name in ended[:-MAX_ENDED]:
            self._tasks.pop(name, None)


def _work(
    begin: Callable[[], AbstractContextManager[Begun]], work: Callable[[Begun], None], begun: "Future[Begun]"
) -> None:
    """What keeps it from beginning ends `begun`, which a request awaits."""
    try:
        with begin() as given:
            begun.set_result(given)
            work(given)
    except BaseException as error:
        if not begun.done():
            begun.set_exception(error)
        elif isinstance(error, StudioError):
            _log.info("A task ended: %s", error)
        else:
            _log.exception("A task failed")


def _failure(error: BaseException) -> Failure:
    if isinstance(error, StudioError):
        return Failure(error.code, error.message, error.hint)
    return Failure("fault", f"{type(error).__name__}: {error}", "The server's log says more.")
