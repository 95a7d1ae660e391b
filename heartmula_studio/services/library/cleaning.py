"""Cleaning recordings, each of them whole or not at all: the original stays until a person lets go of it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.codec.cleaning import CleanedSound, clean_recording
from heartmula_studio.codec.control import check_cancelled
from heartmula_studio.errors import AudioError, AudioMissingError
from heartmula_studio.files.public_text import public
from heartmula_studio.services.devices import QUEUE_LOCK
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.store.cleaning import CleanedAudio, original_of
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.records import AudioFile
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import TrackCleaning

COPY_BYTES = 1 << 20


class TrackCleaner:
    """Any thread may call any method. All raise ConflictError while a job needs the dataset's tracks."""

    def __init__(self, store: Store, jobs: JobQueue, closing: threading.Event):
        """Once `closing` is set, it stops within moments."""
        self._store, self._jobs, self._closing = store, jobs, closing

    def clean(self, id: str, filename: str, settings: CleanSettings) -> AudioFile:
        """Clean a track, from its original where it was cleaned before; one that needs none of it is its original.

        Raises NotFoundError, AudioError, StorageError, CancelledError when it closes.
        """
        datasets = self._store.datasets
        track = datasets.get_song(id, filename)
        with self._free(id, filename):
            pass
        with self._store.scratch() as folder:
            path = folder / "cleaned.flac"
            sound = clean_recording(datasets.original_audio(id, track), settings, path, self._closing.is_set)
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
        """Clean tracks one by one, all where none is named; what cannot be read is said so. Raises as `clean`."""
        yield from self._each(id, filenames, lambda track: self.clean(id, track.filename, settings))

    def restore_all(self, id: str, filenames: Sequence[str]) -> Iterator[TrackCleaning]:
        """Take back how tracks were cleaned; those that were not stay as they are. Raises as `restore`."""
        yield from self._each(id, filenames, lambda track: _where_cleaned(track, id, self.restore))

    def discard_all(self, id: str, filenames: Sequence[str]) -> Iterator[TrackCleaning]:
        """Let go of what tracks were cleaned from. Raises as `discard`."""
        yield from self._each(id, filenames, lambda track: _where_cleaned(track, id, self.discard))

    def _each(
        self, id: str, filenames: Sequence[str], change: Callable[[AudioFile], AudioFile]
    ) -> Iterator[TrackCleaning]:
        datasets = self._store.datasets
        named = [datasets.get_song(id, name) for name in filenames] or datasets.get(id).audio_files
        for track in named:
            check_cancelled(self._closing.is_set)
            try:
                yield _reported(change(track))
            except (AudioError, AudioMissingError) as error:
                yield TrackCleaning(track.filename, error=public(error.message))

    @contextmanager
    def _free(self, id: str, filename: str) -> Iterator[None]:
        """Keep jobs from beginning with a track that is about to change."""
        with self._store.lock(QUEUE_LOCK):
            self._jobs.require_free(self._store.datasets.get(id), filename)
            yield


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
