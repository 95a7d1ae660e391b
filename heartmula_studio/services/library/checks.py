"""Looking over a dataset's tracks before they are learnt from: how they sound, and whether their words are right.

Nothing changes. While somebody waits or in the background, how far a check is can be asked for, and it can be stopped.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.tasks import RunningTask, Tasks
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.songs import length_histogram
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import CheckKind, CheckTask
from heartmula_studio.store.views import SoundReport, TrackLosses

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.library.caption_check import CaptionCheck
    from heartmula_studio.services.library.dataset_exchange import DatasetExchange

Report = SoundReport | TrackLosses
Found = TypeVar("Found")


@dataclass(frozen=True)
class _Checking:
    """A check that has begun. `reports` has what is found so far, once for each track."""

    task: RunningTask[CheckTask]
    reports: Iterator[Report]


class CheckService:
    """Any thread may call any method. Two servers of one data folder never run one check of a dataset at once."""

    def __init__(
        self,
        store: Store,
        devices: Devices,
        runtime: "Lazy[Runtime]",
        exchange: "Callable[[], DatasetExchange]",
    ):
        """exchange: what reads tokenized tracks; its making loads torch."""
        self._store, self._devices, self._runtime, self._exchange = store, devices, runtime, exchange
        self._closing = threading.Event()
        self._tasks: Tasks[CheckTask] = Tasks(store, self._closing, "This dataset is being checked.")
        self._caption_check = Lazy(self._make_caption_check, of=runtime)
        self._begin: dict[CheckKind, Callable[[str, RunningTask[CheckTask]], AbstractContextManager[Iterator[Report]]]]
        self._begin = {"sound": self._sound, "lyrics": self._lyrics}

    def check_sound(self, id: str) -> SoundReport:
        """Measure each recording, and say what a person should cut, export again or leave out.

        Raises NotFoundError, CancelledError, and ConflictError while this dataset's sound is being checked.
        """
        report = self._run(id, "sound").report
        assert isinstance(report, SoundReport), report
        return report

    def track_losses(self, id: str) -> TrackLosses:
        """Measure the base model's loss on each track, the highest first: wrong lyrics and tags stand out.

        Raises ConflictError for songs that are not tokenized, while this goes on, and while the device has no room;
        and as `CaptionCheck.measure`.
        """
        report = self._run(id, "lyrics").report
        assert isinstance(report, TrackLosses), report
        return report

    def one_by_one(self, id: str, kind: CheckKind) -> Iterator[CheckTask]:
        """Check a dataset in this thread; yield how far that is, and what is found, before and after each track.

        Raises as `check_sound` and `track_losses`.
        """
        with self._begun(id, kind) as begun:
            yield begun.task.state
            yield from self._go_on(begun)

    def start(self, id: str, kind: str) -> CheckTask:
        """Check a dataset in the background. Raises InvalidInputError, and as `check_sound` and `track_losses`."""

        def check(begun: _Checking) -> None:
            deque(self._go_on(begun), maxlen=0)

        return self._tasks.start(lambda: self._begun(id, kind), check).task.state

    def get(self, id: str, kind: str) -> CheckTask:
        """Say how far a check is, or was when it ended. Raises NotFoundError, InvalidInputError."""
        new = self._new(id, kind)
        return self._tasks.find(_name(id, new.kind)) or new

    def cancel(self, id: str, kind: str) -> CheckTask:
        """Stop a check within moments; what it has found stays. Raises as `get`, ConflictError where none runs."""
        return self._tasks.cancel(_name(id, self.get(id, kind).kind))

    def close(self) -> None:
        """Stop within moments what is being checked."""
        self._closing.set()
        self._tasks.close()

    def _run(self, id: str, kind: CheckKind) -> CheckTask:
        return deque(self.one_by_one(id, kind), maxlen=1).pop()

    @contextmanager
    def _begun(self, id: str, kind: str) -> Iterator[_Checking]:
        new = self._new(id, kind)
        with self._tasks.running(_name(id, new.kind), new) as task, self._begin[new.kind](id, task) as reports:
            yield _Checking(task, reports)

    def _go_on(self, begun: _Checking) -> Iterator[CheckTask]:
        for report in begun.reports:
            begun.task.change(done=len(report.tracks), report=report)
            yield begun.task.state

    @contextmanager
    def _sound(self, id: str, task: RunningTask[CheckTask]) -> Iterator[Iterator[SoundReport]]:
        from heartmula_studio.services.library.sound_check import measure_tracks  # it brings torch

        lengths = length_histogram(self._store.datasets.get(id))
        found = _so_far(measure_tracks(self._store.datasets, id, task))
        yield (SoundReport(tracks, lengths) for tracks in found)

    @contextmanager
    def _lyrics(self, id: str, task: RunningTask[CheckTask]) -> Iterator[Iterator[TrackLosses]]:
        tracks, check = self._exchange().as_hf_dataset(id), self._caption_check.get()
        with check.device_lease():
            found = _so_far(check.measure(id, tracks, task))
            yield (TrackLosses(tuple(sorted(losses, key=lambda track: -track.loss))) for losses in found)

    def _new(self, id: str, kind: str) -> CheckTask:
        dataset = self._store.datasets.get(id)
        for known in self._begin:
            if kind == known:
                return CheckTask(kind=known, total=len(dataset.audio_files), report=_nothing_found(dataset, known))
        raise InvalidInputError(f"There is no check {kind!r}.", f"Allowed: {', '.join(self._begin)}.")

    def _make_caption_check(self) -> "CaptionCheck":
        from heartmula_studio.services.library.caption_check import CaptionCheck

        return CaptionCheck(self._store, self._devices, self._runtime.get())


def _nothing_found(dataset: Dataset, kind: CheckKind) -> Report:
    return SoundReport((), length_histogram(dataset)) if kind == "sound" else TrackLosses(())


def _so_far(found: Iterator[Found]) -> Iterator[tuple[Found, ...]]:
    """Yield all that was found, once more after each."""
    all_found: tuple[Found, ...] = ()
    for one in found:
        all_found = (*all_found, one)
        yield all_found


def _name(id: str, kind: CheckKind) -> str:
    return f"check-{kind}-{id}"
