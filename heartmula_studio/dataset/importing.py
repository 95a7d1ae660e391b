"""Tracks of data sets that others made: folders of audio with or without metadata, parquet, saved datasets, WebDataset.

Tables are read without the library that wrote them, a row at a time, and without its cache. Nothing is decoded.
"""

import csv
import io
import itertools
import json
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from heartmula_studio.dataset.source_files import COPY_BYTES, SOURCE_HINT, Skip, SourceFile
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

MAX_TEXT_BYTES = 2**28  # of a metadata file
NO_GENRES = ("train", "test", "validation", "valid", "val", "dev", "eval", "data", "audio", "songs", "music", "clips")
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
        if self.is_local and Path(name).is_absolute() and Path(name).is_file():
            return SourceFile(Path(name).name, Path(name))
        return None


def incoming_tracks(files: Sequence[SourceFile], skip: Skip, is_local: bool = False) -> Iterator[IncomingTrack]:
    """Yield the tracks of the rows of all tables, else of the audio files, those that metadata names first.

    What is left out is told to `skip`. is_local: tables may name files anywhere, which only the machine's owner may do.
    Raises InvalidInputError for tables that cannot be read, metadata that names no file, and an import without audio.
    """
    audio = _Audio([file for file in files if file.suffix in AUDIO_SUFFIXES], is_local)
    others = [file for file in files if file.suffix not in AUDIO_SUFFIXES]
    tables = [file for file in others if is_table(file) and not _is_metadata(file)]
    count = 0
    for table in tables:
        for track in _table_tracks(table, audio, skip):
            count += 1
            yield track
    if tables and count:
        for file in audio.files:
            if file.name not in audio.taken:
                skip(file.name, "No table names it.")
    else:
        for track in _loose_tracks(audio, others, skip):
            count += 1
            yield track
    if not count:
        found = _shortened([file.name for file in files]) or "nothing"
        raise InvalidInputError(f"There is no audio in it; it holds {found}.", SOURCE_HINT)


# --- tables with a track in each row ---------------------------------------------------------------------------------


def _table_tracks(table: SourceFile, audio: _Audio, skip: Skip) -> Iterator[IncomingTrack]:
    with _read_errors(table):
        schema = read_schema(table)
        column = audio_column(schema)
        if column is None:
            skip(table.name, f"It has no column with audio, only {_shortened(schema.names)}.")
            return
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


def _loose_tracks(audio: _Audio, others: Sequence[SourceFile], skip: Skip) -> Iterator[IncomingTrack]:
    metadata = [file for file in others if _is_metadata(file)]
    named = {file.name: row for meta in metadata for file, row in _named_files(meta, audio, skip)}
    beside = _Beside([file for file in others if not _is_metadata(file)])
    has_genres = not metadata and len({file.folder for file in audio.files}) > 1
    by_name = {file.name: file for file in audio.files}
    for file in [by_name[name] for name in named] + [file for file in audio.files if file.name not in named]:
        words = named[file.name].words if file.name in named else TrackWords()
        filename, said = beside.said_of(file)
        genre = TrackWords(tags=_genre(file)) if has_genres else TrackWords()
        yield IncomingTrack(filename, file.path, words.or_else(said).or_else(genre))
    for file in beside.unused():
        skip(file.name, _left_out(file))


def _is_metadata(file: SourceFile) -> bool:
    return file.base.lower() in ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def _named_files(meta: SourceFile, audio: _Audio, skip: Skip) -> Iterator[tuple[SourceFile, _Row]]:
    """Yield the audio files that a metadata file names. Raises InvalidInputError where it names none of them."""
    with _read_errors(meta):
        rows = list(_metadata_rows(meta, skip))
    if not rows:
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
    text = _text(meta).decode("utf-8-sig")
    if meta.suffix == ".csv":
        header = text.partition("\n")[0]
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

    def __init__(self, files: Sequence[SourceFile]):
        self._files = files
        self._used: set[str] = set()
        self._by_place = {(_key(file.folder), _key(file.stem), file.suffix): file for file in files}
        self._by_stem: dict[tuple[str, str], list[SourceFile]] = {}
        for file in files:
            self._by_stem.setdefault((_key(file.stem), file.suffix), []).append(file)

    def said_of(self, audio: SourceFile) -> tuple[str, TrackWords]:
        """The name a track is known by, and what the files of the same stem say of it."""
        record: Mapping[str, Any] = {}
        if file := self._by_place.get((_key(audio.folder), _key(audio.stem), ".json")):
            with _read_errors(file):
                beside = json.loads(_text(file).decode("utf-8-sig"))
            if isinstance(beside, dict) and beside:
                record = beside
                self._used.add(file.name)
        row = _row("", {**self._fields(audio), **record})
        name = _first_text(row.values, NAME_COLUMNS) or audio.base
        return name, row.words if row.words.lyrics else row.words.or_else(TrackWords(self._lyrics(audio)))

    def _fields(self, audio: SourceFile) -> dict[str, str]:
        """WebDataset's texts of one field each: `a.lyrics.txt`, `a.genre.txt`."""
        places = {name: (_key(audio.folder), _key(f"{audio.stem}.{name}"), ".txt") for name in WORD_COLUMNS}
        files = {name: self._by_place[place] for name, place in places.items() if place in self._by_place}
        self._used.update(file.name for file in files.values())
        return {name: self._read(file).strip() for name, file in files.items()}

    def unused(self) -> Iterator[SourceFile]:
        return (file for file in self._files if file.name not in self._used)

    def _lyrics(self, audio: SourceFile) -> str:
        for suffix in LYRICS_SUFFIXES:
            alone = self._by_stem.get((_key(audio.stem), suffix), [])
            file = self._by_place.get((_key(audio.folder), _key(audio.stem), suffix))
            if file := file or (alone[0] if len(alone) == 1 else None):
                self._used.add(file.name)
                return self._read(file)
        return ""

    def _read(self, file: SourceFile) -> str:
        with _read_errors(file):
            return read_lyrics(file.path)


def _left_out(file: SourceFile) -> str:
    if file.suffix in LYRICS_SUFFIXES:
        return "No song has this name."
    return "It is neither audio of a kind that is read nor metadata."


# --- what they share -------------------------------------------------------------------------------------------------


def _first_text(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    return next((values[name] for name in columns if isinstance(values.get(name), str) and values[name]), "")


def _text(file: SourceFile) -> bytes:
    with file.path.open("rb") as opened:
        raw = opened.read(MAX_TEXT_BYTES + 1)
    if len(raw) > MAX_TEXT_BYTES:
        raise ValueError(f"it is over {MAX_TEXT_BYTES:,} bytes")
    return raw


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
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        reason = str(error).replace(str(file.path), file.name)
        raise InvalidInputError(f"{file.name} cannot be read as a dataset: {reason}", SOURCE_HINT) from error
