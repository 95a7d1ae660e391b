"""Cleaning recordings, each of them whole or not at all: the original stays until a person lets go of it."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.codec.cleaning import CleanedSound, clean_recording
from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.errors import AudioError, AudioMissingError
from heartmula_studio.files.public_text import public
from heartmula_studio.services.devices import QUEUE_LOCK
from heartmula_studio.services.tasks import RunningTask, Tasks
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.store.cleaning import CleanedAudio, original_of
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.records import AudioFile
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import CleaningTask
from heartmula_studio.store.views import TrackCleaning

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class _Cleaning:
    """The cleaning of a dataset's tracks, once it has begun."""

    task: RunningTask[CleaningTask]
    id: str
    tracks: Sequence[AudioFile]


class TrackCleaner:
    """Any thread may call any method. All raise ConflictError while a job needs the dataset's tracks."""

    def __init__(self, store: Store, jobs: JobQueue, closing: threading.Event):
        """Once `closing` is set, it stops within moments."""
        self._store, self._jobs, self._closing = store, jobs, closing
        self._tasks: Tasks[CleaningTask] = Tasks(store, closing, "This dataset's recordings are being cleaned.")

    def clean(self, id: str, filename: str, settings: CleanSettings, cancelled: Cancelled | None = None) -> AudioFile:
        """Clean a track, from its original where it was cleaned before; one that needs none of it is its original.

        Raises NotFoundError, AudioError, StorageError, CancelledError when it closes, or `cancelled` says so.
        """
        datasets = self._store.datasets
        track = datasets.get_song(id, filename)
        with self._free(id, filename):
            pass
        with self._store.scratch() as folder:
            path = folder / "cleaned.flac"
            original = datasets.original_audio(id, track)
            sound = clean_recording(original, settings, path, cancelled or self._closing.is_set)
            if sound is None:
                return self.restore(id, filename) if original_of(track) else track
            with datasets.receive(id, path.name) as incoming:
                _copy(path, incoming)
                with self._free(id, filename):
                    return datasets.keep_cleaned(id, track, incoming, _described(sound))

    def restore(self, id: str, filename: str) -> AudioFile:
        """Take back how a track was cleaned. Raises NotFoundError, ConflictError where it was not, StorageError."""
        with self._free(id, filename):
            return self._store.datasets.restore_original(id, filename)

    def discard(self, id: str, filename: str) -> AudioFile:
        """Let go of what a track was cleaned from. Raises as `restore`."""
        return self._store.datasets.discard_original(id, filename)

    def clean_all(self, id: str, filenames: Sequence[str], settings: CleanSettings) -> Iterator[TrackCleaning]:
        """Clean tracks one by one, all where none is named; what cannot be read is said so.

        Raises as `clean`, and ConflictError while the dataset is being cleaned.
        """
        with self._begun(id, filenames) as begun:
            yield from self._clean_each(begun, settings)

    def start(self, id: str, filenames: Sequence[str], settings: CleanSettings) -> CleaningTask:
        """Do what `clean_all` does in a thread of its own. Raises NotFoundError, ConflictError."""

        def clean(begun: _Cleaning) -> None:
            deque(self._clean_each(begun, settings), maxlen=0)

        return self._tasks.start(lambda: self._begun(id, filenames), clean).task.state

    def get(self, id: str) -> CleaningTask:
        """Say how far the cleaning of a dataset is, or was when it ended. Raises NotFoundError."""
        self._store.datasets.get(id)
        return self._tasks.find(_name(id)) or CleaningTask()

    def cancel(self, id: str) -> CleaningTask:
        """Stop it within moments; what is cleaned stays. Raises NotFoundError, ConflictError where none runs."""
        self._store.datasets.get(id)
        return self._tasks.cancel(_name(id))

    def close(self) -> None:
        """Wait for the threads, once `closing` is set."""
        self._tasks.close()

    def restore_all(self, id: str, filenames: Sequence[str]) -> Iterator[TrackCleaning]:
        """Take back how tracks were cleaned; those that were not stay as they are. Raises as `restore`."""
        yield from self._each(id, filenames, lambda track: _where_cleaned(track, id, self.restore))

    def discard_all(self, id: str, filenames: Sequence[str]) -> Iterator[TrackCleaning]:
        """Let go of what tracks were cleaned from. Raises as `discard`."""
        yield from self._each(id, filenames, lambda track: _where_cleaned(track, id, self.discard))

    @contextmanager
    def _begun(self, id: str, filenames: Sequence[str]) -> Iterator[_Cleaning]:
        tracks = self._named(id, filenames)
        with self._tasks.running(_name(id), CleaningTask(total=len(tracks))) as task:
            yield _Cleaning(task, id, tracks)

    def _clean_each(self, begun: _Cleaning, settings: CleanSettings) -> Iterator[TrackCleaning]:
        task = begun.task
        for track in begun.tracks:
            task.begin(track.filename)
            cleaned = _told(track, lambda track: self.clean(begun.id, track.filename, settings, task.is_cancelled))
            task.change(done=task.state.done + 1, tracks=(*task.state.tracks, cleaned))
            yield cleaned

    def _each(
        self, id: str, filenames: Sequence[str], change: Callable[[AudioFile], AudioFile]
    ) -> Iterator[TrackCleaning]:
        for track in self._named(id, filenames):
            check_cancelled(self._closing.is_set)
            yield _told(track, change)

    def _named(self, id: str, filenames: Sequence[str]) -> Sequence[AudioFile]:
        datasets = self._store.datasets
        return [datasets.get_song(id, name) for name in filenames] or datasets.get(id).audio_files

    @contextmanager
    def _free(self, id: str, filename: str) -> Iterator[None]:
        """Keep jobs from beginning with a track that is about to change."""
        with self._store.lock(QUEUE_LOCK):
            self._jobs.require_free(self._store.datasets.get(id), filename)
            yield


def _name(id: str) -> str:
    return f"cleaning-{id}"


def _told(track: AudioFile, change: Callable[[AudioFile], AudioFile]) -> TrackCleaning:
    """Change a recording, and say how it is cleaned now, or why it cannot be read."""
    try:
        return _reported(change(track))
    except (AudioError, AudioMissingError) as error:
        return TrackCleaning(track.filename, error=public(error.message))


def _where_cleaned(track: AudioFile, id: str, change: Callable[[str, str], AudioFile]) -> AudioFile:
    return change(id, track.filename) if original_of(track) else track


def _copy(path: Path, incoming: Incoming) -> None:
    with path.open("rb") as file:
        while chunk := file.read(COPY_BYTES):
            incoming.write(chunk)


def _described(sound: CleanedSound) -> CleanedAudio:
    cuts = sound.cut_start_sec, sound.cut_end_sec, sound.gain_db
    return CleanedAudio(sound.duration_sec, sound.sample_rate_hz, 2, *cuts)


def _reported(track: AudioFile) -> TrackCleaning:
    cleaned = track.cleaned
    if cleaned is None:
        return TrackCleaning(track.filename)
    return TrackCleaning(track.filename, cleaned.cut_start_sec, cleaned.cut_end_sec, cleaned.gain_db)
