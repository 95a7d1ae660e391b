"""Songs going out to disk, parquet or the Hub with their audio inside, and coming in from the Hub or a folder.

What goes out is the dataset that `songs.song_dataset` builds; what comes in are files with words. Nothing is decoded.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets import Audio, Dataset
from datasets.table import embed_table_storage
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from heartmula_studio.atomic import replaced_file, replaced_folder
from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.errors import InvalidInputError, NotFoundError

LYRICS_COLUMNS = ("lyrics", "caption", "text", "transcription")
TAGS_COLUMNS = ("tags", "styles", "genre")
IMPORT_HINT = (
    "Give a folder of audio files (with a metadata.csv or metadata.jsonl, if you like), or user/name on the Hub."
)


@dataclass(frozen=True)
class IncomingSong:
    """One song on its way in: its file's name and bytes, and the words that came with it."""

    filename: str
    content: bytes
    lyrics: str
    tags: tuple[str, ...]


def save_to_folder(dataset: Dataset, folder: Path) -> None:
    """Write the songs and their audio as `datasets.load_from_disk` reads them, whole or not at all."""
    with replaced_folder(folder) as temporary:
        _with_audio_inside(dataset).save_to_disk(temporary)


def save_to_parquet(dataset: Dataset, path: Path) -> None:
    """Write one parquet file with the audio inside, whole or not at all."""
    with replaced_file(path) as temporary:
        _with_audio_inside(dataset).to_parquet(temporary)


def push_to_hub(dataset: Dataset, repo_id: str, private: bool = True) -> None:
    """Upload to the Hub, as a private repository unless told otherwise. Raises InvalidInputError where that fails."""
    try:
        dataset.push_to_hub(repo_id, private=private, embed_external_files=True)
    except Exception as error:  # the network, the token, the name: whatever it was, the Hub's own words say it best
        raise InvalidInputError(
            f"Uploading to {repo_id} failed: {error}", "Log in with `hf auth login`, and name it user/dataset."
        ) from error


def incoming_songs(source: str | Path) -> Iterator[IncomingSong]:
    """Yield the songs of a folder, or of a dataset on the Hub, which is downloaded first.

    A folder holds parquet files, or what `save_to_disk` writes, or audio files with an optional metadata.csv or
    metadata.jsonl that names each in `file_name` (the `audiofolder` convention).
    Raises NotFoundError where there is none, InvalidInputError where it holds no audio.
    """
    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    parquet = sorted(str(path) for path in folder.rglob("*.parquet"))
    try:
        if (folder / "dataset_info.json").is_file():
            yield from _songs_of(datasets.load_from_disk(str(folder)), source)
        elif parquet:
            yield from _songs_of(datasets.load_dataset("parquet", data_files=parquet, split="train"), source)
        else:
            yield from _songs_in(folder)
    except (OSError, ValueError, csv.Error, datasets.exceptions.DatasetsError) as error:
        raise InvalidInputError(f"{source} cannot be read as a dataset: {error}", IMPORT_HINT) from error


def _download(repo_id: str) -> Path:
    try:
        return Path(snapshot_download(repo_id, repo_type="dataset"))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise NotFoundError(f"There is no folder {repo_id}, and the Hub says: {error}", IMPORT_HINT) from error


def _songs_of(dataset: Dataset, source: str | Path) -> Iterator[IncomingSong]:
    name = next((name for name, feature in dataset.features.items() if isinstance(feature, Audio)), None)
    if name is None:
        raise InvalidInputError(f"{source} has no audio, only {', '.join(dataset.column_names)}.", IMPORT_HINT)
    for number, row in enumerate(dataset.cast_column(name, Audio(decode=False)), start=1):
        audio = row[name]
        content = Path(audio["path"]).read_bytes() if audio["bytes"] is None else audio["bytes"]
        yield IncomingSong(Path(audio["path"] or f"song {number}").name, content, *_words(row))


def _songs_in(folder: Path) -> Iterator[IncomingSong]:
    """Read audio files anywhere below `folder`; a metadata file speaks for the files of its own folder and below."""
    words = dict(_metadata(folder))
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise InvalidInputError(f"{folder} holds no audio.", IMPORT_HINT)
    for path in paths:
        yield IncomingSong(path.name, path.read_bytes(), *_words(words.get(path.resolve(), {})))


def _metadata(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield (audio file, its columns) of all metadata files."""
    for path in sorted(folder.rglob("metadata.*")):
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            rows = csv.DictReader(io.StringIO(text))
        elif path.suffix == ".jsonl":
            rows = (json.loads(line) for line in text.splitlines() if line.strip())
        else:
            continue
        for row in rows:
            if row.get("file_name"):
                yield (path.parent / row["file_name"]).resolve(), row


def _words(row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The lyrics and tags among the columns of one song."""
    lyrics, tags = (
        next((row[name] for name in names if row.get(name)), "") for names in (LYRICS_COLUMNS, TAGS_COLUMNS)
    )
    return str(lyrics), tuple(split_tags(tags))


def _with_audio_inside(dataset: Dataset) -> Dataset:
    """Replace the paths of the audio files by their contents, a few songs at a time."""
    return dataset.with_format("arrow").map(embed_table_storage, batched=True, batch_size=4).with_format(None)
