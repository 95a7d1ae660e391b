"""Programs that listen to a dataset's tracks one by one and propose what they found, here or in threads of the server.

What was found of a track is in its record before the next one is begun, so that a kill loses one track's work at most:
started again, an analysis goes on with the tracks that its program has not listened to.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from heartmula_studio.codec.control import Cancelled, Progress, check_cancelled
from heartmula_studio.errors import CancelledError, ConflictError, InvalidInputError, NotFoundError, StudioError
from heartmula_studio.files.public_text import public
from heartmula_studio.generate.memory import memory_explained
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.records import AudioFile, Failure
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import Analysis, AnalysisKind, SkippedItem, TrackProposals

_log = logging.getLogger(__name__)


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


@dataclass
class _Run:
    """One analysis that is going on."""

    dataset_id: str
    state: Analysis
    cancel: threading.Event = field(default_factory=threading.Event)

    def begin(self, track: AudioFile) -> None:
        self.state = replace(self.state, track=track.filename, progress=self._percent(0.0))

    def note_progress(self, done: int, total: int) -> None:
        self.state = replace(self.state, progress=self._percent(done / max(total, 1)))

    def finish(self, track: TrackProposals) -> None:
        skipped = (SkippedItem(track.filename, track.error),) if track.error else ()
        self.state = replace(self.state, done=self.state.done + 1, skipped=(*self.state.skipped, *skipped))
        self.state = replace(self.state, progress=self._percent(0.0))

    def _percent(self, of_track: float) -> float:
        return min(100.0, 100 * (self.state.done + of_track) / max(self.state.total, 1))


class Analyses:
    """Any thread may call any method. Two servers of one data folder never run one analysis of a dataset at once."""

    def __init__(self, store: Store, makers: Mapping[AnalysisKind, MakeAnalyzer], closing: threading.Event):
        """makers: of each kind; they may raise StudioError. Once `closing` is set, everything stops within moments."""
        self._store, self._makers, self._closing = store, makers, closing
        self._runs: dict[tuple[str, AnalysisKind], _Run] = {}
        self._threads: list[threading.Thread] = []

    def get(self, dataset_id: str, kind: str) -> Analysis:
        """Say how far an analysis is, or was when it ended. Raises NotFoundError, InvalidInputError."""
        total, known = len(self._store.datasets.get(dataset_id).audio_files), self._known(kind)
        run = self._runs.get((dataset_id, known))
        return run.state if run else Analysis(known, total=total)

    def run(self, dataset_id: str, kind: str, settings: AnalysisSettings) -> Iterator[TrackProposals]:
        """Yield the tracks of a dataset with what is proposed for them, as they are listened to in this thread.

        Raises as `start`, and CancelledError.
        """
        with self._begun(dataset_id, kind, settings) as (run, analyzer):
            yield from self._listen(run, analyzer)

    def start(self, dataset_id: str, kind: str, settings: AnalysisSettings) -> Analysis:
        """Begin in a thread of its own.

        Raises NotFoundError, InvalidInputError, ConflictError while this analysis is going on, and as its maker does.
        """
        started: Future[_Run] = Future()
        thread = threading.Thread(target=self._work, args=(dataset_id, kind, settings, started), daemon=True)
        thread.start()
        run = started.result()
        self._threads = [thread, *(other for other in self._threads if other.is_alive())]
        return run.state

    def cancel(self, dataset_id: str, kind: str) -> Analysis:
        """Stop an analysis within moments; what was proposed stays. Raises as `get`, ConflictError where none runs."""
        state = self.get(dataset_id, kind)
        if state.status != "running":
            raise ConflictError(
                "Nothing is analyzing this dataset here.", "Only an analysis that is running here can be stopped."
            )
        self._runs[dataset_id, state.kind].cancel.set()
        return state

    def close(self) -> None:
        """Wait for the threads, once `closing` is set."""
        for thread in self._threads:
            thread.join()

    def _work(self, dataset_id: str, kind: str, settings: AnalysisSettings, started: "Future[_Run]") -> None:
        """What keeps it from beginning ends `started`, which a request awaits; what ends it later is in its state."""
        try:
            with self._begun(dataset_id, kind, settings) as (run, analyzer):
                started.set_result(run)
                for _ in self._listen(run, analyzer):
                    pass
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            elif isinstance(error, StudioError):
                _log.info("An analysis of %s ended: %s", dataset_id, error)
            else:
                _log.exception("An analysis of %s failed", dataset_id)

    @contextmanager
    def _begun(self, dataset_id: str, kind: str, settings: AnalysisSettings) -> Iterator[tuple[_Run, Analyzer]]:
        """Hold the analysis's lock, and have its state say how it ends."""
        known, total = self._known(kind), len(self._store.datasets.get(dataset_id).audio_files)
        with self._store.attempt(f"{known.replace('_', '-')}-{dataset_id}") as is_free:
            if not is_free:
                raise ConflictError("This dataset is being analyzed.", "Wait until that is done, or cancel it.")
            analyzer, run = self._makers[known](settings), _Run(dataset_id, Analysis(known, "running", total=total))
            self._runs[dataset_id, known] = run
            try:
                yield run, analyzer
                run.state = replace(run.state, status="completed", track="")
            except (CancelledError, GeneratorExit):  # the latter where nobody reads on
                run.state = replace(run.state, status="cancelled", track="")
                raise
            except BaseException as error:
                run.state = replace(run.state, status="failed", error=_failure(error))
                raise

    def _listen(self, run: _Run, analyzer: Analyzer) -> Iterator[TrackProposals]:
        for track in self._store.datasets.get(run.dataset_id).audio_files:
            run.begin(track)
            found = self._proposals_for(run, analyzer, track)
            if found:
                run.finish(found)
                yield found

    def _proposals_for(self, run: _Run, analyzer: Analyzer, track: AudioFile) -> TrackProposals | None:
        """None for a track that was removed meanwhile. Raises NotFoundError for such a dataset."""
        try:
            return TrackProposals(track.filename, self._analyzed(run, analyzer, track).proposals)
        except NotFoundError:
            self._store.datasets.get(run.dataset_id)
            return None
        except InvalidInputError as error:
            return TrackProposals(track.filename, track.proposals, public(error.message))

    def _analyzed(self, run: _Run, analyzer: Analyzer, track: AudioFile) -> AudioFile:
        def cancelled() -> bool:
            return self._closing.is_set() or run.cancel.is_set()

        check_cancelled(cancelled)
        datasets = self._store.datasets
        if analyzer.is_done(track):
            return track
        with memory_explained():
            findings = analyzer.find(
                datasets.audio_path(run.dataset_id, track.filename), track, run.note_progress, cancelled
            )
        return datasets.propose(run.dataset_id, track.filename, analyzer.source, findings)

    def _known(self, kind: str) -> AnalysisKind:
        for known in self._makers:
            if kind == known:
                return known
        raise InvalidInputError(f"There is no analysis {kind!r}.", f"Allowed: {', '.join(self._makers)}.")


def _failure(error: BaseException) -> Failure:
    if isinstance(error, StudioError):
        return Failure(error.code, error.message, error.hint)
    return Failure("fault", f"{type(error).__name__}: {error}", "The server's log says more.")
