"""Tables of words about audio files that lie elsewhere: CSV, TSV, JSON Lines, JSON and parquet."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from heartmula_studio.dataset.arrow_tables import class_names, column_features, read_records, read_schema, row_values
from heartmula_studio.dataset.source_files import SOURCE_HINT, Skip, SourceFile, read_text
from heartmula_studio.dataset.track_columns import (
    AUDIO_COLUMNS,
    NAME_COLUMNS,
    NESTED_COLUMN,
    WORD_COLUMNS,
    TrackWords,
    column_key,
    words_of,
)
from heartmula_studio.errors import InvalidInputError

METADATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
MAX_JSON_BYTES = 2**25
_DELIMITERS = ",;\t|"
_FILE_COLUMNS = (*NAME_COLUMNS, *AUDIO_COLUMNS)
_WITHOUT_HEADER = ("file_name", "text")


@dataclass(frozen=True)
class Row:
    """A row of a table by the keys of its columns. `place` says where it stands."""

    place: str
    values: dict[str, Any]
    words: TrackWords

    @classmethod
    def of(cls, place: str, values: Mapping[Any, Any], class_names: Mapping[str, Any] | None = None) -> "Row":
        row = {column_key(name): value for name, value in values.items() if isinstance(name, str)}
        nested = row.get(NESTED_COLUMN)
        if isinstance(nested, Mapping):
            row = {**nested, **{name: value for name, value in row.items() if value is not None}}
        return cls(place, row, words_of(row, class_names))

    @property
    def file_name(self) -> str:
        """The file that the row is about; "" where it names none."""
        return first_text(self.values, _FILE_COLUMNS)


def first_text(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    return next((values[name] for name in columns if isinstance(values.get(name), str) and values[name]), "")


@contextmanager
def reading(file: SourceFile) -> Iterator[None]:
    """Name the file that cannot be read, not the place where it was unpacked. Raises InvalidInputError."""
    try:
        yield
    except InvalidInputError as error:
        raise type(error)(error.message.replace(str(file.path), file.name), error.hint) from error
    except (OSError, ValueError, OverflowError, RecursionError, csv.Error, pa.ArrowException) as error:
        reason = str(error).replace(str(file.path), file.name)
        raise InvalidInputError(f"{file.name} cannot be read as a dataset: {reason}", SOURCE_HINT) from error


def is_metadata(file: SourceFile) -> bool:
    """Whether it is called as `datasets` wants it; any other table may speak of songs, too."""
    return file.stem.lower() == "metadata" and file.suffix in (*METADATA_SUFFIXES, ".parquet")


def may_be_metadata(file: SourceFile) -> bool:
    return file.suffix in METADATA_SUFFIXES


def table_rows(table: SourceFile, schema: pa.Schema, columns: Sequence[str], audio: str = "") -> Iterator[Row]:
    """Yield the rows of an Arrow table; bytes in the column `audio` stay where they were read to, as `pa.Buffer`."""
    labels = {column_key(name): names for name, kind in column_features(schema).items() if (names := class_names(kind))}
    numbers = itertools.count(1)  # `enumerate` would hold on to the row before
    for record in read_records(table, columns):
        values = record.to_pylist()[0] if not audio else row_values(record, audio)
        del record
        yield Row.of(f"{table.name}, row {next(numbers)}", values, labels)
        del values


def metadata_rows(meta: SourceFile, is_file: Callable[[str], bool], skip: Skip) -> Iterator[Row]:
    """Yield the rows of a metadata file. is_file: whether a name is that of an audio file, should there be no header.

    Raises ValueError and OSError for what cannot be read, csv.Error, pa.ArrowException, RecursionError.
    """
    if meta.suffix == ".parquet":
        schema = read_schema(meta)
        yield from table_rows(meta, schema, schema.names)
    elif meta.suffix in (".csv", ".tsv"):
        yield from _csv_rows(meta, is_file, skip)
    elif meta.suffix == ".json":
        for place, values in _json_records(meta):
            yield Row.of(f"{meta.name}, {place}", values)
    else:
        yield from _json_lines(meta, skip)


def _csv_rows(meta: SourceFile, is_file: Callable[[str], bool], skip: Skip) -> Iterator[Row]:
    """Unquoted commas in a text would give its last words to no column, so such a row counts for nothing."""
    text = read_text(meta).lstrip("\r\n")
    first = {delimiter: next(_cells(text, delimiter), [""]) for delimiter in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda delimiter: _header_score(first[delimiter]))
    has_names = _header_score(first[delimiter])[0]
    bare = [mark for mark in _DELIMITERS if not has_names and len(first[mark]) > 1 and is_file(first[mark][0])]
    if bare:
        for number, cells in enumerate(_cells(text, bare[0]), start=1):
            yield Row.of(f"{meta.name}, row {number}", dict(zip(_WITHOUT_HEADER, cells, strict=False)))
        return
    for number, values in enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter), start=1):
        if None in values:
            skip(
                f"{meta.name}, row {number}",
                "It has more cells than columns: put quotes around texts with commas.",
            )
        else:
            yield Row.of(f"{meta.name}, row {number}", values)


def _cells(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _header_score(names: Sequence[str]) -> tuple[bool, int, int]:
    keys = [column_key(name) for name in names]
    is_known = [key in _FILE_COLUMNS or key in WORD_COLUMNS for key in keys]
    return any(key in _FILE_COLUMNS for key in keys), sum(is_known), len(keys)


def _json_lines(meta: SourceFile, skip: Skip) -> Iterator[Row]:
    for number, line in enumerate(read_text(meta).split("\n"), start=1):  # U+2028 may stand inside a text
        place = f"{meta.name}, line {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is not JSON: {error}") from error
        if isinstance(values, dict):
            yield Row.of(place, values)
        else:
            skip(place, "It is no record with names.")


def _json_records(meta: SourceFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Records in a list, in the first list of a record, or under the names of their files."""
    if meta.path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"it is over {MAX_JSON_BYTES:,} bytes; JSON Lines may be longer")
    content = json.loads(read_text(meta))
    if isinstance(content, dict):
        lists = [part for part in content.values() if isinstance(part, list) and any(isinstance(x, dict) for x in part)]
        content = lists[0] if lists else [_named(name, said) for name, said in content.items()]
    for number, record in enumerate(content if isinstance(content, list) else [], start=1):
        if isinstance(record, dict):
            yield f"record {number}", record


def _named(name: str, said: Any) -> dict[str, Any]:
    return {**said, "file_name": name} if isinstance(said, dict) else {"file_name": name, "text": said}
