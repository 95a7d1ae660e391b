"""Tracks on their way out, with lyrics, tags and rights: an audio folder, parquet, WebDataset, or the Hub.

Everything is written front to back and a piece at a time: memory holds a few tracks at most, and a stream needs no file
in between. Nothing is decoded.
"""

import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Audio, Dataset, Features, List, Value

from heartmula_studio.dataset.source_files import COPY_BYTES
from heartmula_studio.dataset.track_columns import ENDING_COLUMN, STYLES_COLUMN
from heartmula_studio.errors import InvalidInputError, StorageError
from heartmula_studio.files.atomic import replaced_folder

METADATA = "metadata.jsonl"
HUB_SHARD_BYTES = 50_000_000  # `push_to_hub` keeps about three of them in memory

_FEATURES = Features(
    {
        "audio": Audio(),
        "lyrics": Value("string"),
        "tags": List(Value("string")),
        "rights": Value("string"),
        ENDING_COLUMN: Value("string"),
        STYLES_COLUMN: List(Value("string")),
    }
)


@dataclass(frozen=True)
class OutgoingTrack:
    """A recording, the file name it goes out under, and what is known of it.

    `tags` are its own; where it has none, the `styles` of the dataset are its tags.
    """

    filename: str
    path: Path
    lyrics: str
    tags: tuple[str, ...]
    rights: str
    ending: str = ""
    styles: tuple[str, ...] = ()

    @property
    def words(self) -> dict[str, Any]:
        said = {"lyrics": self.lyrics, "tags": list(self.tags), "rights": self.rights}
        return said | {ENDING_COLUMN: self.ending, STYLES_COLUMN: list(self.styles)}


def save_to_folder(tracks: Sequence[OutgoingTrack], folder: Path) -> None:
    """Write the audio files with a metadata.jsonl, as `datasets` reads an `audiofolder`, whole or not at all."""
    with replaced_folder(folder) as temporary:
        for track in tracks:
            shutil.copyfile(track.path, temporary / track.filename)
        (temporary / METADATA).write_bytes(_metadata(tracks))


def write_zip(tracks: Sequence[OutgoingTrack], sink: io.RawIOBase) -> Iterator[None]:
    """Write a zip of what `save_to_folder` writes; yield after each piece. Audio is not compressed."""
    # Deflate at level 0 keeps the bytes as they are but, unlike a stored entry, tells a stream where it ends.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        archive.writestr(METADATA, _metadata(tracks))
        for track in tracks:
            is_large = track.path.stat().st_size >= 2**31
            with track.path.open("rb") as source, archive.open(track.filename, "w", force_zip64=is_large) as target:
                while chunk := source.read(COPY_BYTES):
                    target.write(chunk)
                    yield
    yield


def write_webdataset(tracks: Sequence[OutgoingTrack], sink: io.RawIOBase) -> Iterator[None]:
    """Write one WebDataset shard: of each track its audio, and a .json with the words; yield after each piece.

    Raises StorageError for a file that changes meanwhile.
    """
    for number, track in enumerate(tracks):
        record = json.dumps({"file_name": track.filename, **track.words}, ensure_ascii=False).encode()
        sink.write(_tar_header(f"{number:06d}.json", len(record)) + record + _padding(len(record)))
        with track.path.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            sink.write(_tar_header(f"{number:06d}{track.path.suffix}", size))
            while chunk := source.read(COPY_BYTES):
                sink.write(chunk)
                yield
            if source.tell() != size:
                raise StorageError(f"{track.filename} changed while it was read.", "Export the dataset again.")
        sink.write(_padding(size))
    sink.write(bytes(tarfile.RECORDSIZE))
    yield


def write_parquet(tracks: Sequence[OutgoingTrack], sink: io.RawIOBase) -> Iterator[None]:
    """Write one parquet file with the audio inside, a row group for each track; yield after each."""
    schema = _FEATURES.arrow_schema
    file = pa.PythonFile(sink, "w")
    # Statistics and dictionaries would keep copies of the audio.
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
        for track in tracks:
            writer.write_batch(_record_batch(track, schema))
            yield
    yield


def _record_batch(track: OutgoingTrack, schema: pa.Schema) -> pa.RecordBatch:
    """One row, whose audio is not copied: there may be hundreds of megabytes of it."""
    audio = pa.py_buffer(track.path.read_bytes())
    offsets = pa.array([0, audio.size], pa.int32()).buffers()[1]
    content = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, audio])
    kind = schema.field("audio").type
    columns = [pa.StructArray.from_arrays([content, pa.array([track.filename])], fields=list(kind))]
    columns += [pa.array([track.words[name]], schema.field(name).type) for name in schema.names[1:]]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def push_to_hub(dataset: Dataset, repo_id: str, private: bool = True) -> None:
    """Upload to the Hub, as a private repository unless told otherwise. Raises InvalidInputError where that fails."""
    try:
        dataset.push_to_hub(repo_id, private=private, embed_external_files=True, max_shard_size=HUB_SHARD_BYTES)
    except Exception as error:  # the network, the token, the name: whatever it was, the Hub's own words say it best
        raise InvalidInputError(
            f"Uploading to {repo_id} failed: {error}", "Log in with `hf auth login`, and name it user/dataset."
        ) from error


def _tar_header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _metadata(tracks: Sequence[OutgoingTrack]) -> bytes:
    lines = (json.dumps({"file_name": track.filename, **track.words}, ensure_ascii=False) for track in tracks)
    return "".join(f"{line}\n" for line in lines).encode()
