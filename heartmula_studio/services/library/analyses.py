"""Programs that listen to a dataset's tracks one by one and propose what they found, here or in threads of the server.

What was found of a track is in its record before the next one is begun, so that a kill loses one track's work at most:
started again, an analysis goes on with the tracks that its program has not listened to.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from heartmula_studio.codec.control import Cancelled, Progress
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.public_text import public
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.services.tasks import RunningTask, Tasks
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import Analysis, AnalysisKind
from heartmula_studio.store.views import SkippedItem, TrackProposals


@dataclass(frozen=True)
class AnalysisSettings:
    """What to listen with: the name of a model beside the official ones, its folder where `is_local`; "" for the usual.

    `language` (ISO 639-1) is what is sung, "" where it is to be found out. `separate_vocals`: whether the voice is
    separated first, None where that is possible; `separator` is the model for that, as `model` is. A program leaves out
    what it does not need.
    """

    model: str = ""
    language: str = ""
    separate_vocals: bool | None = None
    separator: str = ""
    is_local: bool = False


class Analyzer(Protocol):
    """A program that listens to tracks. It loads what it needs with the first one."""

    @property
    def source(self) -> str:
        """Its name, and that of its model, in proposals."""

    def is_done(self, track: AudioFile) -> bool:
        """Tell whether nothing new can come of listening to a track."""

    def find(self, audio: Path, track: AudioFile, progress: Progress, cancelled: Cancelled) -> list[Finding]:
        """Listen to a track. Raises StudioError, and CancelledError as soon as `cancelled` says so."""


MakeAnalyzer = Callable[[AnalysisSettings], Analyzer]


@dataclass(frozen=True)
class _Listening:
    """An analysis that has begun."""

    task: RunningTask[Analysis]
    dataset_id: str
    analyzer: Analyzer


class Analyses:
    """Any thread may call any method. Two servers of one data folder never run one analysis of a dataset at once."""

    def __init__(self, store: Store, makers: Mapping[AnalysisKind, MakeAnalyzer], closing: threading.Event):
        """makers: of each kind; they may raise StudioError. Once `closing` is set, everything stops within moments."""
        self._store, self._makers = store, makers
        self._tasks: Tasks[Analysis] = Tasks(store, closing, "This dataset is being analyzed.")

    def get(self, dataset_id: str, kind: str) -> Analysis:
        """Say how far an analysis is, or was when it ended. Raises NotFoundError, InvalidInputError."""
        new = self._new(dataset_id, kind)
        return self._tasks.find(_name(dataset_id, new.kind)) or new

    def run(self, dataset_id: str, kind: str, settings: AnalysisSettings) -> Iterator[TrackProposals]:
        """Yield the tracks of a dataset with what is proposed for them, as they are listened to in this thread.

        Raises as `start`, and CancelledError.
        """
        with self._begun(dataset_id, kind, settings) as begun:
            yield from self._listen(begun)

    def start(self, dataset_id: str, kind: str, settings: AnalysisSettings) -> Analysis:
        """Begin in a thread of its own.

        Raises NotFoundError, InvalidInputError, ConflictError while this analysis is going on, and as its maker does.
        """

        def listen(begun: _Listening) -> None:
            deque(self._listen(begun), maxlen=0)

        return self._tasks.start(lambda: self._begun(dataset_id, kind, settings), listen).task.state

    def cancel(self, dataset_id: str, kind: str) -> Analysis:
        """Stop an analysis within moments; what was proposed stays. Raises as `get`, ConflictError where none runs."""
        return self._tasks.cancel(_name(dataset_id, self.get(dataset_id, kind).kind))

    def close(self) -> None:
        """Wait for the threads, once `closing` is set."""
        self._tasks.close()

    def _new(self, dataset_id: str, kind: str) -> Analysis:
        total = len(self._store.datasets.get(dataset_id).audio_files)
        return Analysis(kind=self._known(kind), total=total)

    @contextmanager
    def _begun(self, dataset_id: str, kind: str, settings: AnalysisSettings) -> Iterator[_Listening]:
        new = self._new(dataset_id, kind)
        analyzer = self._makers[new.kind](settings)
        with self._tasks.running(_name(dataset_id, new.kind), new) as task:
            yield _Listening(task, dataset_id, analyzer)

    def _listen(self, begun: _Listening) -> Iterator[TrackProposals]:
        for track in self._store.datasets.get(begun.dataset_id).audio_files:
            begun.task.begin(track.filename)
            found = self._proposals_for(begun, track)
            if found:
                state = begun.task.state
                skipped = (SkippedItem(track.filename, found.error),) if found.error else ()
                begun.task.change(done=state.done + 1, skipped=(*state.skipped, *skipped))
                yield found

    def _proposals_for(self, begun: _Listening, track: AudioFile) -> TrackProposals | None:
        """None for a track that was removed meanwhile. Raises NotFoundError for such a dataset."""
        try:
            return TrackProposals(track.filename, self._analyzed(begun, track).proposals)
        except NotFoundError:
            self._store.datasets.get(begun.dataset_id)
            return None
        except InvalidInputError as error:
            return TrackProposals(track.filename, track.proposals, public(error.message))

    def _analyzed(self, begun: _Listening, track: AudioFile) -> AudioFile:
        task, id, analyzer, datasets = begun.task, begun.dataset_id, begun.analyzer, self._store.datasets
        if analyzer.is_done(track):
            return track
        with memory_explained():
            path = datasets.audio_path(id, track.filename)
            findings = analyzer.find(path, track, task.note_progress, task.is_cancelled)
        return datasets.propose(id, track.filename, analyzer.source, findings)

    def _known(self, kind: str) -> AnalysisKind:
        for known in self._makers:
            if kind == known:
                return known
        raise InvalidInputError(f"There is no analysis {kind!r}.", f"Allowed: {', '.join(self._makers)}.")


def _name(dataset_id: str, kind: AnalysisKind) -> str:
    return f"{kind.replace('_', '-')}-{dataset_id}"
