"""Tracks of data sets that others made: folders of audio with or without metadata, parquet, saved datasets, WebDataset.

Tables are read without the library that wrote them, a row at a time, and without its cache. Nothing is decoded but
recordings of whole albums, which are cut where a cue sheet says so.
"""

import os
import posixpath
import re
import tempfile
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES
from heartmula_studio.codec.cutting import cut_recording
from heartmula_studio.dataset.arrow_tables import TableCell, audio_column, count_rows, is_table, read_schema
from heartmula_studio.dataset.cue_sheets import CueSheet, parse_cue
from heartmula_studio.dataset.metadata_files import (
    Row,
    is_metadata,
    may_be_metadata,
    metadata_rows,
    reading,
    table_rows,
)
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.dataset.sample_arrays import wave_file
from heartmula_studio.dataset.sidecars import Sidecars, key_of
from heartmula_studio.dataset.source_files import COPY_BYTES, SOURCE_HINT, Skip, SourceFile, in_split, read_text
from heartmula_studio.dataset.track_columns import WORD_COLUMNS, TrackWords, column_key
from heartmula_studio.errors import InvalidInputError

NO_GENRES = ("train", "test", "validation", "valid", "val", "dev", "eval", "data", "audio", "songs", "music", "clips")
SAVED_NOTES = ("dataset_dict.json", "dataset_info.json", "state.json")  # what `save_to_disk` says of its tables
NAMES_SHOWN, ROWS_SHOWN = 5, 100
CUE_SUFFIX = ".cue"
METADATA_HINT = "Name each file in a column file_name, as a path that begins at the metadata file's own folder."

_FOREIGN_PATH = re.compile(r"/|[a-zA-Z]:|\w+://|(\.\./)+")


@dataclass(frozen=True)
class IncomingTrack:
    """A recording on its way in: its file's name, the bytes or where they lie, and what is said of it.

    What lies at a path may be gone when the next one is asked for.
    """

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


class _Audio:
    """The audio files of an import by name. `is_local` lets tables name files elsewhere on this machine, too."""

    def __init__(self, files: Sequence[SourceFile], is_local: bool):
        self.files, self._is_local = files, is_local
        self.taken: set[str] = set()
        self._by_name = {file.name: file for file in files}
        self._by_key = {key_of(file.name): file for file in files}
        self._by_base: dict[str, list[SourceFile]] = {}
        for file in files:
            for base in {key_of(file.base), key_of(file.stem)}:
                self._by_base.setdefault(base, []).append(file)

    def take(self, name: str, folder: str) -> SourceFile | None:
        """Find a file as `find` does; it counts as named."""
        found = self.find(name, folder)
        if found is not None:
            self.taken.add(found.name)
        return found

    def find(self, name: str, folder: str) -> SourceFile | None:
        """Find a file by its path from `folder` or from the top, in any case and Unicode form.

        Else it is the only one whose path ends like that, with or without its suffix; of a path on another machine, the
        last part will do.
        """
        path = unicodedata.normalize("NFC", name.replace("\\", "/"))
        for start in (folder, ""):
            inside = posixpath.normpath(posixpath.join(start, path))
            if found := self._by_name.get(inside) or self._by_key.get(key_of(inside)):
                return found
        if self._is_local and Path(name).is_absolute() and os.path.isfile(name):  # which takes any name
            return SourceFile(Path(name).name, Path(name))
        return self._by_end(key_of(path), folder)

    def _by_end(self, path: str, folder: str) -> SourceFile | None:
        is_foreign = _FOREIGN_PATH.match(path) is not None
        fits = []
        for file in self._by_base.get(posixpath.basename(path), ()):
            full = key_of(file.name)
            full = full if path.endswith(file.suffix) else full.removesuffix(file.suffix)
            inside = full.removeprefix(f"{key_of(folder)}/")
            if _ends_with(full, path) or is_foreign and _ends_with(path, inside):
                fits.append(file)
        return fits[0] if len(fits) == 1 else None


def _ends_with(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")


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


def expected_tracks(files: Sequence[SourceFile], split: str = "") -> int:
    """How many tracks `incoming_tracks` may yield, before any is read: albums are several, what is left out none.

    Raises NotFoundError for a split that is not there.
    """
    chosen = in_split(files, split) if split else files
    rows = sum(_rows_of(table) for table in filter(_is_songs_table, chosen))
    return rows or sum(map(_is_audio, chosen))


def _rows_of(table: SourceFile) -> int:
    """0 for a table that is damaged, of which whoever reads it says so."""
    try:
        return count_rows(table)
    except (pa.ArrowException, OSError):
        return 0


# --- tables with a track in each row ---------------------------------------------------------------------------------


def _is_songs_table(file: SourceFile) -> bool:
    return is_table(file) and not is_metadata(file)


def _table_tracks(table: SourceFile, audio: _Audio, skip: Skip) -> Iterator[IncomingTrack]:
    with reading(table):
        schema = read_schema(table)
        column = audio_column(schema)
        if column is None:
            skip(table.name, f"It has no column with audio, only {_shortened(schema.names)}.")
            return
        if schema.names.count(column) > 1:
            raise ValueError(f"it has several columns {column}.")
        wanted = [name for name in schema.names if name == column or column_key(name) in WORD_COLUMNS]
        for row in table_rows(table, schema, wanted, column):
            track = _cell_track(row.values.pop(column_key(column)), row, table, audio)
            if isinstance(track, str):
                skip(row.place, track)
            else:
                yield track


def _cell_track(cell: Any, row: Row, table: SourceFile, audio: _Audio) -> IncomingTrack | str:
    """The track of a cell: the bytes of a file, its path, a record of both, or samples; else why there is none."""
    if isinstance(cell, list) and len(cell) == 1:
        cell = cell[0]
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, Mapping) else (None, cell)
    if isinstance(cell, pa.Buffer):
        content, path = cell, None
    if not content:
        samples = wave_file(cell, row.values)
        if isinstance(samples, str):
            return samples
        content = samples
    if content:
        name = str(path if isinstance(path, str) and path else row.file_name or f"song {row.place.rpartition(' ')[2]}")
        return IncomingTrack(name.replace("\\", "/").rpartition("/")[2], TableCell(content), row.words)
    if not isinstance(path, str) or not path:
        return "Its audio is neither a file nor a path." if _holds_something(cell) else "It has no audio."
    file = audio.take(path, table.folder)
    return IncomingTrack(file.base, file.path, row.words) if file else f"There is no file {path[:200]}."


def _holds_something(cell: Any) -> bool:
    if isinstance(cell, Mapping):
        return any(map(_holds_something, cell.values()))
    return cell is not None and (not hasattr(cell, "__len__") or len(cell) > 0)


# --- audio files with metadata, texts and folders beside them --------------------------------------------------------


def _loose_tracks(
    audio: _Audio, files: Sequence[SourceFile], chosen: Sequence[SourceFile], skip: Skip
) -> Iterator[IncomingTrack]:
    names = {file.name for file in chosen}
    others = [file for file in files if not (_is_audio(file) or _is_songs_table(file))]
    beside = Sidecars(others, audio.files, skip)
    tables = [file for file in others if any(file.is_above(other) for other in chosen)]
    metadata = _metadata_among(tables, beside)
    named = _named_songs(metadata, names, audio, skip)
    songs = [file for file, _ in named.values()]
    songs += [file for file in audio.files if file.name in names and file.path not in named]
    sheets = _cue_sheets(chosen, audio, skip)
    has_genres = not named and len({file.folder for file in songs}) > 1
    for file in songs:
        stated = named[file.path][1].words if file.path in named else TrackWords()
        filename, words = beside.said_of(file, stated)
        genre = TrackWords(tags=_genre(file)) if has_genres else TrackWords()
        if sheet := sheets.get(file.path):
            yield from _album_tracks(file, sheet, words.or_else(genre), skip)
        else:
            yield IncomingTrack(filename, file.path, words.or_else(genre))
    for file in beside.unused():
        if file.name in names and file not in metadata and file.suffix != CUE_SUFFIX:
            skip(file.name, beside.why_unused(file))


def described_recordings(files: Sequence[SourceFile], skip: Skip) -> Iterator[tuple[SourceFile, TrackWords]]:
    """Yield the audio files, each with what metadata and the texts beside it say of it; whole, and under its own name.

    What cannot be read is told to `skip`. Raises InvalidInputError for metadata that cannot be read.
    """
    audio = _Audio(list(filter(_is_audio, files)), is_local=False)
    others = [file for file in files if not (_is_audio(file) or _is_songs_table(file))]
    beside = Sidecars(others, audio.files, skip)
    named = _named_songs(_metadata_among(others, beside), {file.name for file in files}, audio, skip)
    for file in audio.files:
        stated = named[file.path][1].words if file.path in named else TrackWords()
        yield file, beside.said_of(file, stated)[1]


def _metadata_among(tables: Sequence[SourceFile], beside: Sidecars) -> list[SourceFile]:
    called_so = list(filter(is_metadata, tables))
    return called_so or [file for file in tables if may_be_metadata(file) and not beside.is_of_a_song(file)]


def _cue_sheets(files: Sequence[SourceFile], audio: _Audio, skip: Skip) -> dict[Path, CueSheet]:
    """Read the cue sheets among files, by the recordings they are of; what cannot be used is told to `skip`."""
    sheets = {}
    for file in files:
        if file.suffix != CUE_SUFFIX:
            continue
        try:
            with reading(file):
                sheet = parse_cue(read_text(file))
        except InvalidInputError as error:
            skip(file.name, error.message)
            continue
        if recording := audio.find(sheet.recording, file.folder) or audio.find(file.stem, file.folder):
            sheets[recording.path] = sheet
        else:
            skip(file.name, f"There is no file {sheet.recording[:200]}.")
    return sheets


def _album_tracks(file: SourceFile, sheet: CueSheet, words: TrackWords, skip: Skip) -> Iterator[IncomingTrack]:
    """Cut a recording into the tracks of its cue sheet, one at a time. Raises as `cut_recording`."""
    if words.lyrics:
        skip(file.name, "Its lyrics are those of several songs, and are given to none.")
    words = replace(words, lyrics="").or_else(TrackWords(tags=tuple(split_tags(sheet.genre))))
    with tempfile.TemporaryDirectory() as folder:
        pieces = cut_recording(file.path, [track.start_sec for track in sheet.tracks], Path(folder))
        try:
            number = 0
            for number, (track, piece) in enumerate(zip(sheet.tracks, pieces, strict=False), start=1):
                title = re.sub(r"[/\\]", "-", track.title) or file.stem
                yield IncomingTrack(f"{number:02d} {title}.flac", piece, words)
            for track in sheet.tracks[number:]:
                skip(f"{file.name}, {track.title or 'a song'}", f"It ends before {track.start_sec:.1f} s.")
        except InvalidInputError as error:  # which knows the file by where it was unpacked to
            message = error.message.removeprefix(f"{file.path.name} ")
            raise type(error)(f"{file.name} cannot be cut: {message}", error.hint) from error


def _named_songs(
    metadata: Sequence[SourceFile], names: Collection[str], audio: _Audio, skip: Skip
) -> dict[Path, tuple[SourceFile, Row]]:
    """Read which audio files are named by metadata; of several rows for one, the last in the innermost folder holds.

    names: the files of the split; one that is outside it is named by metadata inside it.
    """
    named: dict[Path, tuple[SourceFile, Row]] = {}
    for meta in sorted(metadata, key=lambda file: file.name.count("/")):
        for file, row in _named_files(meta, audio, skip):
            if meta.name in names or file.name in names:
                if file.path in named and named[file.path][1].words != row.words:
                    skip(named[file.path][1].place, f"{row.place} names the same file.")
                named[file.path] = file, row
    return named


def _is_audio(file: SourceFile) -> bool:
    return file.suffix in AUDIO_SUFFIXES


def _named_files(meta: SourceFile, audio: _Audio, skip: Skip) -> Iterator[tuple[SourceFile, Row]]:
    """Yield the audio files that a metadata file names.

    Raises InvalidInputError where one that is called so cannot be read, or names none of them; others are left out.
    """
    try:
        with reading(meta):
            rows = list(metadata_rows(meta, lambda name: audio.find(name, meta.folder) is not None, skip))
    except InvalidInputError as error:
        if is_metadata(meta):
            raise
        skip(meta.name, error.message)
        return
    found = [(audio.take(row.file_name, meta.folder) if row.file_name else None, row) for row in rows]
    missing = [row for file, row in found if file is None]
    if not rows or (len(missing) == len(rows) and not is_metadata(meta)):
        skip(meta.name, "It names no files." if not rows else "It names none of the audio files.")
        return
    if len(missing) == len(rows):
        raise InvalidInputError(_nothing_named(meta, rows, audio), METADATA_HINT)
    _tell_missing(meta, missing, skip)
    yield from ((file, row) for file, row in found if file is not None)


def _tell_missing(meta: SourceFile, missing: Sequence[Row], skip: Skip) -> None:
    """One by one, but where only a part of a large dataset is there."""
    if len(missing) > ROWS_SHOWN:
        names = _shortened([row.file_name for row in missing])
        skip(meta.name, f"{len(missing):,} of its rows name no file that is there: {names}.")
        return
    for row in missing:
        skip(row.place, f"There is no file {row.file_name[:200]}." if row.file_name else "It names no file.")


def _nothing_named(meta: SourceFile, rows: Sequence[Row], audio: _Audio) -> str:
    there = _shortened([file.name for file in audio.files]) or "no audio files"
    if missing := [row.file_name for row in rows if row.file_name]:
        return f"{meta.name} names none of the audio files: it looks for {_shortened(missing)}; there are {there}."
    return f"{meta.name} has no column that names files, only {_shortened(list(rows[0].values))}."


def _genre(file: SourceFile) -> tuple[str, ...]:
    """The folder's name, as `audiofolder` reads it; not that of a split or an archive."""
    folder = PurePosixPath(file.folder)
    is_genre = folder.name and folder.suffix not in (".zip", ".tar", ".gz", ".tgz")
    return (folder.name,) if is_genre and folder.name.lower() not in NO_GENRES else ()


def _shortened(names: Iterable[str]) -> str:
    names = list(names)
    more = ["…"] if len(names) > NAMES_SHOWN else []
    return ", ".join([*(name[:100] for name in names[:NAMES_SHOWN]), *more])
