"""Whole datasets going out and coming in."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets

from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.control import Cancelled
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.exporting import (
    OutgoingTrack,
    push_to_hub,
    save_to_folder,
    write_parquet,
    write_webdataset,
    write_zip,
)
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.errors import ConflictError, InvalidInputError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.library.dataset_import import (
    DatasetImporter,
    create_example_dataset,
    download_dataset,
)
from heartmula_studio.services.library.hub_download import download
from heartmula_studio.services.library.import_steps import ImportSteps, PullSteps
from heartmula_studio.settings import Settings
from heartmula_studio.store.archives import Pipe
from heartmula_studio.store.names import safe_filename
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.songs import stem_of
from heartmula_studio.store.store import Store

WRITERS = {
    "folder": (".zip", write_zip),
    "parquet": (".parquet", write_parquet),
    "webdataset": (".tar", write_webdataset),
}


class DatasetExchange:
    """Any thread may call any method; what comes in is listed whole, or not at all."""

    def __init__(self, store: Store, settings: Settings):
        self._store, self._max_bytes = store, settings.max_import_bytes
        self._limits = AudioLimits(max_sec=settings.max_song_sec)

    def export(self, id: str, format: str = "folder") -> tuple[str, Iterator[bytes]]:
        """A file name after the dataset, and the file of that name piece by piece. A "folder" comes as a zip.

        Raises NotFoundError, InvalidInputError for a format that is none, ConflictError for a dataset without songs,
        AudioMissingError where the file of one is gone; StorageError while it is read.
        """
        if format not in WRITERS:
            raise InvalidInputError(f"The format is {format!r}.", f"Allowed: {', '.join(WRITERS)}.")
        dataset, suffix = self._store.datasets.get(id), WRITERS[format][0]
        filename = safe_filename(dataset.name.replace("/", "-").replace("\\", "-") + suffix)
        return filename, _pieces(self._tracks(dataset), format)

    def export_to_file(self, id: str, format: str, path: Path) -> None:
        """Write the file that `export` yields, whole or not at all. Raises as it does."""
        _, pieces = self.export(id, format)
        with disk_explained(path), replaced_file(path) as temporary, temporary.open("wb") as file:
            file.writelines(pieces)

    def export_to_folder(self, id: str, folder: Path) -> None:
        """Write audio files with a metadata.jsonl, whole or not at all.

        Raises as `export`, and ConflictError for a folder that holds something.
        """
        tracks = self._tracks(self._store.datasets.get(id))
        with disk_explained(folder):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise ConflictError(f"{folder} already exists.", "Give a new folder.")
            save_to_folder(tracks, folder)

    def export_to_hub(self, id: str, repo_id: str, private: bool) -> None:
        """Push what `as_hf_dataset` gives to the Hub. Raises as it does."""
        push_to_hub(self.as_hf_dataset(id), repo_id, private)

    def as_hf_dataset(self, id: str) -> datasets.Dataset:
        """The songs as training reads them. Raises ConflictError while songs are not tokenized."""
        dataset = self._store.datasets.get(id)
        if waiting := [song.filename for song in dataset.audio_files if song.frames is None]:
            raise ConflictError(
                f"{len(waiting)} of {len(dataset.audio_files)} songs are not tokenized.",
                "Preprocess the dataset first.",
            )
        return song_dataset(self._row(dataset, song) for song in dataset.audio_files)

    def import_upload_one_by_one(
        self,
        path: Path,
        filename: str,
        name: str = "",
        styles: Sequence[str] = (),
        split: str = "",
        cancelled: Cancelled | None = None,
    ) -> ImportSteps:
        """Make a dataset of an archive or a table that anybody may have sent: it can name no file of this machine.

        Yields and raises as `DatasetImporter.take_one_by_one`.
        """
        importer = self._importer()
        return importer.take_one_by_one(path, filename, name or _stem(filename), styles, split, False, cancelled)

    def import_local_one_by_one(
        self, source: str | Path, name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportSteps:
        """Make a dataset of a folder, archive, table or saved dataset here, or else of user/name on the Hub.

        For the machine's owner only: a local table may name any file on it.
        Yields and raises as `DatasetImporter.take_one_by_one`.
        """
        path = Path(source)
        is_local = os.path.exists(path) or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source))
        found = path if is_local else download_dataset(str(source))
        name = name or (_stem(path.name) if os.path.isfile(path) else os.path.basename(os.path.abspath(path)))
        return self._importer().take_one_by_one(found, str(source), name, styles, split, is_local)

    def pull_one_by_one(
        self,
        repo_id: str,
        revision: str = "",
        name: str = "",
        styles: Sequence[str] = (),
        split: str = "",
        cancelled: Cancelled | None = None,
    ) -> PullSteps:
        """Make a dataset of one on the Hub, which can name no file of this machine.

        Yields how much of it has come, at first before anything does, then as `DatasetImporter.take_one_by_one`.
        Raises as that and `download`.
        """
        folder = yield from download("dataset", repo_id, revision or None)
        name = name or repo_id.partition("/")[2]
        yield from self._importer().take_one_by_one(folder, repo_id, name, styles, split, False, cancelled)

    def create_example_dataset(self) -> Dataset:
        return create_example_dataset(self._store, self._limits)

    def _row(self, dataset: Dataset, song: AudioFile) -> dict[str, Any]:
        tokens = Tokens.load(self._store.datasets.tokens_path(dataset.id, song.filename))
        return {
            "song": Path(song.filename).stem,
            "audio": str(self._store.datasets.audio_path(dataset.id, song.filename)),
            "lyrics": song.caption,
            "tags": song.tags or dataset.styles,
            "codes": tokens.codes,
            "codec": tokens.codec_id,
            "rights": song.rights,
        }

    def _importer(self) -> DatasetImporter:
        return DatasetImporter(self._store, self._limits, self._max_bytes)

    def _tracks(self, dataset: Dataset) -> list[OutgoingTrack]:
        if not dataset.audio_files:
            raise ConflictError(f"The dataset {dataset.name!r} has no songs.", "Add songs first.")
        return [self._track(dataset, song) for song in dataset.audio_files]

    def _track(self, dataset: Dataset, song: AudioFile) -> OutgoingTrack:
        path = self._store.datasets.audio_path(dataset.id, song.filename)
        words = (song.caption, song.tags, song.rights, song.ending, dataset.styles)
        return OutgoingTrack(stem_of(song) + path.suffix, path, *words)


def _stem(filename: str) -> str:
    return Path(filename).stem.removesuffix(".tar")


def _pieces(tracks: list[OutgoingTrack], format: str) -> Iterator[bytes]:
    pipe = Pipe()
    with disk_explained(Path("a song of the dataset")):
        for _ in WRITERS[format][1](tracks, pipe):
            yield pipe.take()
    yield pipe.take()
