"""Whole datasets on their way in: all at once, so that nobody sees half of one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.codec.cutting import cut_recording
from heartmula_studio.codec.silences import song_starts_sec
from heartmula_studio.dataset.clips import bundled_clips
from heartmula_studio.dataset.importing import IncomingTrack, expected_tracks, incoming_tracks
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.dataset.source_files import SOURCE_HINT, find_files
from heartmula_studio.dataset.track_columns import TrackWords
from heartmula_studio.errors import (
    AudioTooLongError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UploadTooLargeError,
)
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.library.import_steps import ImportStep, ImportSteps
from heartmula_studio.services.library.uploads import UploadService
from heartmula_studio.store.datasets import Datasets
from heartmula_studio.store.names import MAX_TAG_CHARS, MAX_TAGS, clean_line
from heartmula_studio.store.records import Dataset
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import ImportedDataset, SkippedItem

MAX_SKIPPED = 10_000
EXAMPLES = "Example clips"


class DatasetImporter:
    """Turns folders, archives, tables and saved datasets into datasets, of at most `max_bytes` each."""

    def __init__(self, store: Store, limits: AudioLimits, max_bytes: int):
        self._store, self._limits, self._max_bytes = store, limits, max_bytes
        self._cancelled: Cancelled | None = None
        self._skipped: list[SkippedItem] = []

    def take_one_by_one(
        self,
        source: Path,
        called: str,
        name: str,
        styles: Sequence[str],
        split: str,
        is_local: bool = False,
        cancelled: Cancelled | None = None,
    ) -> ImportSteps:
        """Yield each song of `source`, or of one split of it, before it is read; at last the dataset of all of them.

        It is listed only then: nothing comes in where nobody reads on. A song twice comes in once.
        called: what its owner calls it. is_local: its tables may name files anywhere on this machine.
        Raises NotFoundError, InvalidInputError, AudioError for a song that cannot be learnt from,
        UploadTooLargeError, StorageError, and CancelledError as soon as `cancelled` says so.
        """
        self._cancelled = cancelled
        with self._store.scratch() as scratch, disk_explained(Path(called)):
            files = find_files(source, called, scratch, self._max_bytes, self._skip, cancelled)
            total = expected_tracks(files, split)
            with self._store.new_dataset(name, styles) as (datasets, id):
                left = self._max_bytes
                for done, track in enumerate(incoming_tracks(files, self._skip, is_local, split)):
                    yield ImportStep(track.filename, done, max(total, done + 1))
                    left -= self._add(datasets, id, track, left)
                    styles = styles or self._given_styles(datasets, id, track)
                check_cancelled(cancelled)
        dataset = self._store.datasets.get(id)
        values = {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}
        yield ImportedDataset(**values, skipped=tuple(self._skipped))

    def _given_styles(self, datasets: Datasets, id: str, track: IncomingTrack) -> Sequence[str]:
        """Take over the styles that a track says its dataset had."""
        styles = self._short_enough(track.filename, track.words.styles)
        return datasets.rename(id, styles=styles).styles if styles else ()

    def _add(self, datasets: Datasets, id: str, track: IncomingTrack, left: int, is_piece: bool = False) -> int:
        """Add a track, unless it is there already, and return its size in bytes; one that is too long in pieces."""
        check_cancelled(self._cancelled)
        words = self._fitting(track)
        with datasets.receive(id, track.filename) as incoming:
            for chunk in track.chunks():
                incoming.write(chunk)
            if incoming.size_bytes > left:
                raise UploadTooLargeError(
                    f"With {track.filename}, there are over {self._max_bytes:,} bytes of songs.",
                    "Import them in several parts, or raise HEARTMULA_MAX_IMPORT_BYTES.",
                )
            try:
                uploads = UploadService(datasets, self._limits)
                song = uploads.add_song(id, incoming, words.lyrics, words.tags, words.rights)
                if words.ending:
                    datasets.update_audio(id, song.filename, ending=words.ending)
            except AudioTooLongError:
                if is_piece:
                    raise
                return self._add_pieces(datasets, id, dataclasses.replace(track, content=incoming.path), left)
            except ConflictError as error:
                self._skip(track.filename, error.message)
            except InvalidInputError as error:
                if track.filename in error.message:
                    raise
                raise type(error)(f"{track.filename}: {error.message}", error.hint) from error
            if words.license:
                self._skip(track.filename, f"Its rights are not stated: {words.license[:200]!r} may mean anything.")
            return incoming.size_bytes

    def _add_pieces(self, datasets: Datasets, id: str, album: IncomingTrack, left: int) -> int:
        """Add the songs of an album, cut at its silences; its lyrics belong to none of them alone."""
        assert isinstance(album.content, Path), album.content
        starts_sec, stem, size_bytes = song_starts_sec(album.content), Path(album.filename).stem, 0
        self._skip(album.filename, f"It is too long for one song, and comes in as {len(starts_sec)}, cut at silences.")
        words = dataclasses.replace(album.words, lyrics="")
        with self._store.scratch() as folder:
            for number, piece in enumerate(cut_recording(album.content, starts_sec, folder), start=1):
                track = IncomingTrack(f"{stem} {number:02d}.flac", piece, words)
                size_bytes += self._add(datasets, id, track, left - size_bytes, is_piece=True)
        return size_bytes

    def _fitting(self, track: IncomingTrack) -> TrackWords:
        """The words of a track, without tags that a dataset has no room for."""
        return dataclasses.replace(track.words, tags=self._short_enough(track.filename, track.words.tags))

    def _short_enough(self, filename: str, tags: Sequence[str]) -> tuple[str, ...]:
        short = [tag for tag in tags if len(tag) <= MAX_TAG_CHARS]
        if len(short) < len(tags):
            self._skip(filename, f"A tag of over {MAX_TAG_CHARS} characters is left out.")
        if len(short) > MAX_TAGS:
            self._skip(filename, f"Of its {len(short)} tags only the first {MAX_TAGS} are kept.")
        return tuple(short[:MAX_TAGS])

    def _skip(self, name: str, reason: str) -> None:
        if len(self._skipped) >= MAX_SKIPPED:
            raise UploadTooLargeError(f"Over {MAX_SKIPPED:,} files in it are not songs.", SOURCE_HINT)
        self._skipped.append(SkippedItem(clean_line(name), clean_line(reason)))


def download_dataset(repo_id: str) -> Path:
    """Fetch a dataset from the Hub into its cache. Raises NotFoundError, saying why there is none."""
    try:
        return Path(snapshot_download(repo_id, repo_type="dataset"))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise NotFoundError(
            f"There is no file or folder {repo_id}, and as a dataset on the Hub it cannot be loaded: {error}",
            SOURCE_HINT,
        ) from error


def create_example_dataset(store: Store, limits: AudioLimits) -> Dataset:
    """Make a dataset of the clips that come along. Raises StorageError."""
    clips = bundled_clips("style")
    with store.new_dataset(EXAMPLES, split_tags(clips.tags)) as (datasets, id):
        for path in clips.paths:
            UploadService(datasets, limits).add_file(id, path, None, clips.lyrics, (), clips.rights)
    return store.datasets.get(id)
