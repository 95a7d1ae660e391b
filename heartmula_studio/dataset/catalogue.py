"""A catalogue of recordings as shards of codes. A shard is written whole or not at all, so each recording is in one.

lists/00000.json      the recordings of a shard: paths below the audio folder
codes-00000.parquet   their codes: a row for each, in that order
index.parquet         where each recording is: shard, row, frames; once all shards are there
errors.jsonl          those that cannot be used, and why
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES, AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.errors import AudioError, ConflictError, InvalidInputError
from heartmula_studio.files.atomic import replaced_file, replaced_folder

SHARD_FILES = 64  # a worker that is lost takes the work on so many with it, at most
LISTS = "lists"
SHARD_COLUMNS: dict[str, pa.DataType] = {
    "path": pa.string(),
    "sha256": pa.string(),
    "seconds": pa.float64(),
    "frames": pa.int32(),
    "codes": pa.list_(pa.int16()),  # of frame 0 all K codebooks, then those of frame 1, …
    "ends": pa.bool_(),
    "error": pa.string(),
}
INDEX_COLUMNS: dict[str, pa.DataType] = {
    "path": pa.string(),
    "shard": pa.int32(),
    "row": pa.int32(),
    "frames": pa.int32(),
}
SHARD, INDEX = pa.schema(SHARD_COLUMNS), pa.schema(INDEX_COLUMNS)


@dataclass(frozen=True)
class Row:
    """One recording: its codes, or why there are none."""

    path: str
    sha256: str = ""
    seconds: float = 0.0
    frames: int = 0
    codes: tuple[int, ...] = ()
    ends: bool = False
    error: str = ""


class Catalogue:
    """The folder that a catalogue's codes are written to."""

    def __init__(self, folder: Path, audio: Path):
        self.folder, self.audio = folder, audio
        self.index, self.errors = folder / "index.parquet", folder / "errors.jsonl"

    def make_lists(self) -> int:
        """List the recordings, once and for all; return the number of shards.

        Raises InvalidInputError where there are none, ConflictError where the folder is another one's.
        """
        lists, source = self.folder / LISTS, self.folder / LISTS / "source.json"
        if not lists.is_dir():
            with replaced_folder(lists) as temporary:
                for number, paths in enumerate(in_shards(recordings(self.audio))):
                    (temporary / f"{number:05d}.json").write_text(json.dumps(paths), encoding="utf-8")
                if not any(temporary.iterdir()):
                    raise InvalidInputError(
                        f"There is no recording in {self.audio}.", f"Known suffixes: {', '.join(AUDIO_SUFFIXES)}."
                    )
                (temporary / source.name).write_text(json.dumps(str(self.audio)), encoding="utf-8")
        elif json.loads(source.read_text(encoding="utf-8")) != str(self.audio):
            raise ConflictError(f"{self.folder} holds the codes of another folder.", "Give another one to write to.")
        return len(os.listdir(lists)) - 1

    def shard(self, number: int) -> Path:
        return self.folder / f"codes-{number:05d}.parquet"

    def missing(self, count: int) -> Iterator[int]:
        """Yield the shards that are not written yet."""
        return (number for number in range(count) if not self.shard(number).is_file())

    def write_shard(self, number: int, codec: Codec, limits: AudioLimits) -> None:
        """Write the codes of one shard. Raises CheckpointMissingError without an encoder, OSError."""
        paths = json.loads((self.folder / LISTS / f"{number:05d}.json").read_text(encoding="utf-8"))
        rows = [asdict(self._row(path, codec, limits)) for path in paths]
        codebooks = next((len(row["codes"]) // row["frames"] for row in rows if row["frames"]), 0)
        facts = {"codec_id": codec.codec_id, "codebooks": str(codebooks)}
        with replaced_file(self.shard(number)) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, SHARD.with_metadata(facts)), temporary, compression="zstd")

    def write_index(self, count: int) -> tuple[int, int]:
        """Write the index and the report, shard by shard; return how many recordings have codes, and how many none."""
        good = bad = 0
        with (
            replaced_file(self.index) as index,
            replaced_file(self.errors) as errors,
            pq.ParquetWriter(index, INDEX) as writer,
            errors.open("w", encoding="utf-8") as report,
        ):
            for number in range(count):
                rows = pq.read_table(self.shard(number), columns=["path", "frames", "error"]).to_pylist()
                found = [
                    {"path": row["path"], "shard": number, "row": place, "frames": row["frames"]}
                    for place, row in enumerate(rows)
                    if not row["error"]
                ]
                writer.write_table(pa.Table.from_pylist(found, INDEX))
                for row in rows:
                    if row["error"]:
                        report.write(json.dumps({"path": row["path"], "error": row["error"]}) + "\n")
                good, bad = good + len(found), bad + len(rows) - len(found)
        return good, bad

    def _row(self, path: str, codec: Codec, limits: AudioLimits) -> Row:
        try:
            tokens = codec.encode_file(self.audio / path, limits=limits)
        except (AudioError, OSError) as error:
            return Row(path, error=str(error))
        codes = tuple(tokens.codes.T.flatten().tolist())
        frames = tokens.codes.shape[1]
        return Row(path, tokens.source_sha256, tokens.source_sec, frames, codes, tokens.ends)


def in_shards(paths: Iterator[str]) -> Iterator[list[str]]:
    while shard := list(islice(paths, SHARD_FILES)):
        yield shard


def recordings(folder: Path) -> Iterator[str]:
    """Yield the recordings below a folder in one order; what begins with a dot is passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in readable(names):
            if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield (Path(place) / name).relative_to(folder).as_posix()


def readable(names: Sequence[str]) -> list[str]:
    """Return the names that are valid text, sorted."""
    return sorted(name for name in names if name.isprintable())
