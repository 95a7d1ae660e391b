"""Tables of the Arrow family: parquet and what `datasets` saves. A row is read at a time; nothing is decoded."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heartmula_studio.dataset.source_files import COPY_BYTES, SourceFile
from heartmula_studio.dataset.track_columns import AUDIO_COLUMNS, TITLE_COLUMNS, column_key


class TableCell:
    """The bytes of a song in a table, which are given out once and then let go: the next row has to fit into memory."""

    def __init__(self, buffer: pa.Buffer):
        self._buffer: pa.Buffer | None = buffer

    def chunks(self) -> Iterator[bytes]:
        buffer, self._buffer = self._buffer, None
        assert buffer is not None, "the bytes were given out before"
        for start in range(0, buffer.size, COPY_BYTES):
            yield buffer.slice(start, min(COPY_BYTES, buffer.size - start)).to_pybytes()


def is_table(file: SourceFile) -> bool:
    # `datasets` leaves its work beside what it saves.
    return file.suffix == ".parquet" or file.suffix == ".arrow" and not file.base.startswith("cache-")


def read_schema(table: SourceFile) -> pa.Schema:
    if table.suffix == ".parquet":
        with pq.ParquetFile(table.path) as file:
            return file.schema_arrow
    with pa.memory_map(str(table.path)) as mapped, _arrow_batches(mapped) as batches:
        return batches.schema


def count_rows(table: SourceFile) -> int:
    """Raises ArrowException, OSError where it is damaged."""
    if table.suffix == ".parquet":
        with pq.ParquetFile(table.path) as file:
            return int(file.metadata.num_rows)
    with pa.memory_map(str(table.path)) as mapped, _arrow_batches(mapped) as reader:
        if isinstance(reader, pa.RecordBatchFileReader):
            return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
        return sum(batch.num_rows for batch in reader)


def audio_column(schema: pa.Schema) -> str | None:
    """The column that is marked as audio, else the first of a usual name, else the only one of files."""
    marked = [name for name, kind in column_features(schema).items() if kind.get("_type") == "Audio"]
    by_key = {column_key(name): name for name in schema.names}
    usual = [by_key[name] for name in AUDIO_COLUMNS if name in by_key]
    files = [field.name for field in schema if _holds_files(field.type)]
    titled = [by_key[name] for name in TITLE_COLUMNS if name in by_key]
    candidates = (*marked, *usual, *(files if len(files) == 1 else ()), *titled)
    return next((name for name in candidates if name in schema.names), None)


def _holds_files(kind: pa.DataType) -> bool:
    """Whether values are bytes, or records of bytes and path as `datasets` makes them of a file."""
    if pa.types.is_struct(kind):
        return any(part.name == "bytes" and _holds_files(part.type) for part in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def column_features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """The types that `datasets` notes beside the columns; {} where another program wrote them."""
    note = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(note)["info"]["features"]
        return {name: kind for name, kind in features.items() if isinstance(kind, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def class_names(kind: Any) -> list[str] | None:
    """The names behind the numbers of a `ClassLabel`, or of a list of such."""
    if isinstance(kind, list) and kind:
        return class_names(kind[0])
    if not isinstance(kind, dict):
        return None
    if kind.get("_type") != "ClassLabel":
        return class_names(kind.get("feature"))
    names = kind.get("names")
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def read_records(table: SourceFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table, each a batch of its own, of which none outlives its use here."""
    for batch in _batches(table, columns):
        for start in range(batch.num_rows):
            record = batch.slice(start, 1)
            if start + 1 == batch.num_rows:
                del batch
            yield record
            del record


def _batches(table: SourceFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read a table without more of its audio in memory than need be. Raises ArrowException where it is damaged."""
    if table.suffix == ".parquet":
        with pq.ParquetFile(table.path, buffer_size=COPY_BYTES, pre_buffer=False) as file:  # else it reads all ahead
            yield from file.iter_batches(batch_size=1, columns=list(columns))
        return
    with pa.memory_map(str(table.path)) as mapped, _arrow_batches(mapped) as reader:
        batches: Iterable[pa.RecordBatch]
        if isinstance(reader, pa.RecordBatchFileReader):
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = reader
        for batch in batches:
            batch.validate(full=True)  # a memory map is not looked at as it is opened
            yield batch.select(list(columns))


def _arrow_batches(file: pa.MemoryMappedFile) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    return pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)


def row_values(record: pa.RecordBatch, audio: str) -> dict[str, Any]:
    (values,) = record.drop_columns([audio]).to_pylist() if record.num_columns > 1 else ({},)
    return {**values, audio: _cell(record.column(audio)[0])}


def _cell(value: "pa.Scalar[Any]") -> Any:
    if isinstance(value, pa.StructScalar) and value.is_valid:
        return {name: _cell(part) for name, part in value.items()}
    if isinstance(value, pa.BinaryScalar) and not isinstance(value, pa.StringScalar) and value.is_valid:
        return value.as_buffer()
    if isinstance(value, pa.ListScalar | pa.FixedSizeListScalar | pa.LargeListScalar):
        return None if value.values is None else _list_cell(value.values)
    return value.as_py()


def _list_cell(values: "pa.Array[Any]") -> Any:
    """A list as an array where it holds numbers or lists of them, which would take 30 times the memory one by one."""
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return values.to_numpy(zero_copy_only=False)
    parts = [_cell(part) for part in values]
    if parts and all(isinstance(part, np.ndarray) and part.shape == parts[0].shape for part in parts):
        return np.stack(parts)
    return parts
