"""Tracks of data sets that others made: folders of audio with or without metadata, parquet, saved datasets, WebDataset.

Tables are read without the library that wrote them, a row at a time, and without its cache. Nothing is decoded.
"""

import csv
import io
import itertools
import json
import os
import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES
from heartmula_studio.dataset.arrow_tables import (
    TableCell,
    audio_column,
    class_names,
    column_features,
    is_table,
    read_records,
    read_schema,
    row_values,
)
from heartmula_studio.dataset.source_files import COPY_BYTES, SOURCE_HINT, Skip, SourceFile, in_split, read_text
from heartmula_studio.dataset.track_columns import (
    AUDIO_COLUMNS,
    NAME_COLUMNS,
    NESTED_COLUMN,
    WORD_COLUMNS,
    TrackWords,
    words_of,
)
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import read_lyrics

NO_GENRES = ("train", "test", "validation", "valid", "val", "dev", "eval", "data", "audio", "songs", "music", "clips")
SAVED_NOTES = ("dataset_dict.json", "dataset_info.json", "state.json")  # what `save_to_disk` says of its tables
NAMES_SHOWN = 5
METADATA_HINT = "Name each file in a column file_name, as a path that begins at the metadata file's own folder."


@dataclass(frozen=True)
class IncomingTrack:
    """A recording on its way in: its file's name, the bytes or where they lie, and what is said of it."""

    filename: str
    content: TableCell | Path
    words: TrackWords

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the file, once. Raises OSError."""
        if isinstance(self.content, TableCell):
            yield from self.content.chunks()
            return
        with self.content.open("rb") as file:
            while chunk := file.read(COPY_BYTES):
                yield chunk


@dataclass(frozen=True)
class _Row:
    """A row of a table, its column names in lower case. `place` says where it stands."""

    place: str
    values: dict[str, Any]
    words: TrackWords


@dataclass
class _Audio:
    """The audio files of an import by name. `is_local` lets tables name files elsewhere on this machine, too."""

    files: Sequence[SourceFile]
    is_local: bool
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._by_name = {file.name: file for file in self.files}
        self._by_key = {_key(file.name): file for file in self.files}

    def take(self, name: str, folder: str) -> SourceFile | None:
        """Find a file by its path from `folder` or from the top, in any case and Unicode form; it counts as named."""
        path = unicodedata.normalize("NFC", name.replace("\\", "/"))
        for start in (folder, ""):
            inside = posixpath.normpath(posixpath.join(start, path))
            if found := self._by_name.get(inside) or self._by_key.get(_key(inside)):
                self.taken.add(found.name)
                return found
        if self.is_local and Path(name).is_absolute() and os.path.isfile(name):  # which takes any name
            return SourceFile(Path(name).name, Path(name))
        return None


def incoming_tracks(
    files: Sequence[SourceFile], skip: Skip, is_local: bool = False, split: str = ""
) -> Iterator[IncomingTrack]:
    """Yield the tracks of the rows of all tables, else of the audio files, those that metadata names first.

    What is left out is told to `skip`. is_local: tables may name files anywhere, which only the machine's owner may do.
    split: take only what is in it; what its tables name, and what is said of its songs, may lie elsewhere.
    Raises InvalidInputError for tables that cannot be read, metadata that names no file, and an import without audio;
    NotFoundError for a split that is not there.
    """
    chosen = in_split(files, split) if split else files
    audio = _Audio(list(filter(_is_audio, files)), is_local)
    count = 0
    for table in filter(_is_songs_table, chosen):
        for track in _table_tracks(table, audio, skip):
            count += 1
            yield track
    if count:
        for file in chosen:
            if not _is_songs_table(file) and file.name not in audio.taken and file.base not in SAVED_NOTES:
                skip(file.name, "No table names it.")
        return
    for track in _loose_tracks(audio, files, chosen, skip):
        count += 1
        yield track
    if not count:
        found = _shortened([file.name for file in chosen]) or "nothing"
        raise InvalidInputError(f"There is no audio in it; it holds {found}.", SOURCE_HINT)


# --- tables with a track in each row ---------------------------------------------------------------------------------


def _is_songs_table(file: SourceFile) -> bool:
    return is_table(file) and not _is_metadata(file)


def _table_tracks(table: SourceFile, audio: _Audio, skip: Skip) -> Iterator[IncomingTrack]:
    with _read_errors(table):
        schema = read_schema(table)
        column = audio_column(schema)
        if column is None:
            skip(table.name, f"It has no column with audio, only {_shortened(schema.names)}.")
            return
        if schema.names.count(column) > 1:
            raise ValueError(f"it has several columns {column}.")
        wanted = [name for name in schema.names if name == column or name.lower() in WORD_COLUMNS]
        for row in _table_rows(table, schema, wanted, column):
            track = _cell_track(row.values.pop(column.lower()), row, table, audio)
            if isinstance(track, str):
                skip(row.place, track)
            else:
                yield track


def _cell_track(cell: Any, row: _Row, table: SourceFile, audio: _Audio) -> IncomingTrack | str:
    """The track of a cell: the bytes of a file, its path, or a record of both; else why there is none."""
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (None, cell)
    if isinstance(cell, pa.Buffer):
        content, path = cell, None
    if content is not None and content.size:
        name = str(path or _first_text(row.values, NAME_COLUMNS) or f"song {row.place.rpartition(' ')[2]}")
        return IncomingTrack(name.replace("\\", "/").rpartition("/")[2], TableCell(content), row.words)
    if not isinstance(path, str) or not path:
        is_empty = not cell or isinstance(cell, Mapping) and not any(cell.values())
        return "It has no audio." if is_empty else "Its audio is neither a file nor a path."
    file = audio.take(path, table.folder)
    return IncomingTrack(file.base, file.path, row.words) if file else f"There is no file {path[:200]}."


def _table_rows(table: SourceFile, schema: pa.Schema, columns: Sequence[str], audio: str = "") -> Iterator[_Row]:
    """Yield the rows; bytes in the column `audio` stay where they were read to, as `pa.Buffer`."""
    labels = {name.lower(): names for name, kind in column_features(schema).items() if (names := class_names(kind))}
    numbers = itertools.count(1)  # `enumerate` would hold on to the row before
    for record in read_records(table, columns):
        values = record.to_pylist()[0] if not audio else row_values(record, audio)
        del record
        yield _row(f"{table.name}, row {next(numbers)}", values, labels)
        del values


def _row(
    place: str, values: Mapping[Any, Any], class_names: Mapping[str, Any] | None = None, is_csv: bool = False
) -> _Row:
    row = {name.strip().lower(): value for name, value in values.items() if isinstance(name, str)}
    nested = row.get(NESTED_COLUMN)
    if isinstance(nested, Mapping):
        row = {**nested, **{name: value for name, value in row.items() if value is not None}}
    return _Row(place, row, words_of(row, class_names, is_csv))


# --- audio files with metadata, texts and folders beside them --------------------------------------------------------


def _loose_tracks(
    audio: _Audio, files: Sequence[SourceFile], chosen: Sequence[SourceFile], skip: Skip
) -> Iterator[IncomingTrack]:
    names = {file.name for file in chosen}
    metadata = [file for file in files if _is_metadata(file) and any(file.is_above(other) for other in chosen)]
    named = _named_songs(metadata, names, audio, skip)
    songs = [file for file, _ in named.values()]
    songs += [file for file in audio.files if file.name in names and file.path not in named]
    beside = _Beside(files, audio.files)
    has_genres = not metadata and len({file.folder for file in songs}) > 1
    for file in songs:
        stated = named[file.path][1].words if file.path in named else TrackWords()
        filename, words = beside.said_of(file, stated)
        genre = TrackWords(tags=_genre(file)) if has_genres else TrackWords()
        yield IncomingTrack(filename, file.path, words.or_else(genre))
    for file in beside.unused():
        if file.name in names:
            skip(file.name, beside.why_unused(file))


def _named_songs(
    metadata: Sequence[SourceFile], names: Collection[str], audio: _Audio, skip: Skip
) -> dict[Path, tuple[SourceFile, _Row]]:
    """Read which audio files are named by metadata; of several rows for one, the last in the innermost folder holds.

    names: the files of the split; one that is outside it is named by metadata inside it.
    """
    named: dict[Path, tuple[SourceFile, _Row]] = {}
    for meta in sorted(metadata, key=lambda file: file.name.count("/")):
        for file, row in _named_files(meta, audio, skip):
            if meta.name in names or file.name in names:
                if file.path in named:
                    skip(named[file.path][1].place, f"{row.place} names the same file.")
                named[file.path] = file, row
    return named


def _is_audio(file: SourceFile) -> bool:
    return file.suffix in AUDIO_SUFFIXES


def _is_metadata(file: SourceFile) -> bool:
    return file.base.lower() in ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def _named_files(meta: SourceFile, audio: _Audio, skip: Skip) -> Iterator[tuple[SourceFile, _Row]]:
    """Yield the audio files that a metadata file names. Raises InvalidInputError where it names none of them."""
    with _read_errors(meta):
        rows = list(_metadata_rows(meta, skip))
    if not rows:
        skip(meta.name, "It names no files.")
        return
    missing, found = [], 0
    for row in rows:
        name = _first_text(row.values, (*NAME_COLUMNS, *AUDIO_COLUMNS))
        if file := audio.take(name, meta.folder) if name else None:
            found += 1
            yield file, row
        else:
            missing.append(name)
            skip(row.place, f"There is no file {name[:200]}." if name else "It names no file.")
    if not found:
        raise InvalidInputError(_nothing_named(meta, rows, [name for name in missing if name], audio), METADATA_HINT)


def _nothing_named(meta: SourceFile, rows: Sequence[_Row], missing: Sequence[str], audio: _Audio) -> str:
    there = _shortened([file.name for file in audio.files]) or "no audio files"
    if missing:
        return f"{meta.name} names none of the audio files: it looks for {_shortened(missing)}; there are {there}."
    return f"{meta.name} has no column that names files, only {_shortened(list(rows[0].values))}."


def _metadata_rows(meta: SourceFile, skip: Skip) -> Iterator[_Row]:
    if meta.suffix == ".parquet":
        schema = read_schema(meta)
        yield from _table_rows(meta, schema, schema.names)
        return
    text = read_text(meta)
    if meta.suffix == ".csv":
        text = text.lstrip("\r\n")
        header = re.split(r"[\r\n]", text, maxsplit=1)[0]
        delimiter = max(",;\t", key=header.count)
        for number, values in enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter), start=1):
            yield _row(f"{meta.name}, row {number}", values, is_csv=True)
        return
    for number, line in enumerate(text.split("\n"), start=1):  # a line separator of Unicode may stand inside a text
        if line.strip():
            values = json.loads(line)
            if isinstance(values, dict):
                yield _row(f"{meta.name}, line {number}", values)
            else:
                skip(f"{meta.name}, line {number}", "It is no record with names.")


def _genre(file: SourceFile) -> tuple[str, ...]:
    """The folder's name, as `audiofolder` reads it; not that of a split or an archive."""
    folder = PurePosixPath(file.folder)
    is_genre = folder.name and folder.suffix not in (".zip", ".tar", ".gz", ".tgz")
    return (folder.name,) if is_genre and folder.name.lower() not in NO_GENRES else ()


class _Beside:
    """Texts and records that lie beside audio files: `a.lrc`, `a.txt` and WebDataset's `a.json` belong to `a.mp3`."""

    def __init__(self, files: Sequence[SourceFile], songs: Sequence[SourceFile]):
        self._files = [file for file in files if not (_is_audio(file) or _is_metadata(file) or _is_songs_table(file))]
        self._used: set[str] = set()
        self._by_place = {(_key(file.folder), _key(file.stem), file.suffix): file for file in self._files}
        self._by_stem: dict[tuple[str, str], list[SourceFile]] = {}
        for file in self._files:
            self._by_stem.setdefault((_key(file.stem), file.suffix), []).append(file)
        self._song_folders: dict[str, set[str]] = {}
        for song in songs:
            self._song_folders.setdefault(_key(song.stem), set()).add(_key(song.folder))

    def said_of(self, audio: SourceFile, stated: TrackWords) -> tuple[str, TrackWords]:
        """The name a track is known by, and what the files of the same stem add to what is stated of it."""
        fields = self._fields(audio)
        row = _row("", fields)
        if file := self._by_place.get((_key(audio.folder), _key(audio.stem), ".json")):
            with _read_errors(file):
                beside = json.loads(read_text(file))
                if isinstance(beside, dict) and beside:
                    row = _row("", {**fields, **beside})
                    self._used.add(file.name)
        name, words = _first_text(row.values, NAME_COLUMNS) or audio.base, stated.or_else(row.words)
        return name, words if words.lyrics else words.or_else(TrackWords(self._lyrics(audio)))

    def _fields(self, audio: SourceFile) -> dict[str, str]:
        """WebDataset's texts of one field each: `a.lyrics.txt`, `a.genre.txt`."""
        places = {name: (_key(audio.folder), _key(f"{audio.stem}.{name}"), ".txt") for name in WORD_COLUMNS}
        files = {name: self._by_place[place] for name, place in places.items() if place in self._by_place}
        self._used.update(file.name for file in files.values())
        return {name: self._read(file).strip() for name, file in files.items()}

    def unused(self) -> Iterator[SourceFile]:
        return (file for file in self._files if file.name not in self._used)

    def why_unused(self, file: SourceFile) -> str:
        if file.suffix not in LYRICS_SUFFIXES:
            return "It is neither audio of a kind that is read nor metadata."
        folders = self._song_folders.get(_key(file.stem), set())
        if len(folders) > 1 and _key(file.folder) not in folders:
            return "Songs in several folders have this name."
        return "There are other lyrics for its song." if folders else "No song has this name."

    def _lyrics(self, audio: SourceFile) -> str:
        """Read the text in the song's own folder, else the only one of its name, if it is the song's only folder."""
        stem = _key(audio.stem)
        texts = [self._by_place.get((_key(audio.folder), stem, suffix)) for suffix in LYRICS_SUFFIXES]
        if len(self._song_folders.get(stem, ())) <= 1:
            elsewhere = [self._by_stem.get((stem, suffix), []) for suffix in LYRICS_SUFFIXES]
            texts += [alone[0] for alone in elsewhere if len(alone) == 1]
        file = next(filter(None, texts), None)
        if file is None:
            return ""
        self._used.add(file.name)
        return self._read(file)

    def _read(self, file: SourceFile) -> str:
        with _read_errors(file):
            return read_lyrics(file.path)


# --- what they share -------------------------------------------------------------------------------------------------


def _first_text(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    return next((values[name] for name in columns if isinstance(values.get(name), str) and values[name]), "")


def _key(name: str) -> str:
    """What names have in common that differ only in case or Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _shortened(names: Iterable[str]) -> str:
    names = list(names)
    more = ["…"] if len(names) > NAMES_SHOWN else []
    return ", ".join([*(name[:100] for name in names[:NAMES_SHOWN]), *more])


@contextmanager
def _read_errors(file: SourceFile) -> Iterator[None]:
    """Name the file that cannot be read, not the place where it was unpacked."""
    try:
        yield
    except InvalidInputError as error:
        raise type(error)(error.message.replace(str(file.path), file.name), error.hint) from error
    except (OSError, ValueError, OverflowError, RecursionError, csv.Error, pa.ArrowException) as error:
        reason = str(error).replace(str(file.path), file.name)
        raise InvalidInputError(f"{file.name} cannot be read as a dataset: {reason}", SOURCE_HINT) from error
