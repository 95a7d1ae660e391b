"""A catalogue of recordings as shards of codes. A shard is written whole or not at all, so each recording is in one.

lists/00000.json      the recordings of a shard: paths below the audio folder, and what is said of each
codes-00000.parquet   their codes, tags and lyrics: a row for each, in that order, and a row group, to be read alone
index.parquet         where each recording is: shard, row, frames; once all shards are there
errors.jsonl          those that cannot be used, and why
"""

import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES, AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.catalogue_folder import INDEX_NAME
from heartmula_studio.dataset.importing import described_recordings
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.dataset.source_files import SourceFile
from heartmula_studio.errors import AudioError, ConflictError, InvalidInputError
from heartmula_studio.files.atomic import replaced_file, replaced_folder
from heartmula_studio.lyrics.checking import checked_lyrics

SHARD_FILES = 64  # a worker that is lost takes the work on so many with it, at most
LISTS, LEFT_OUT = "lists", "left_out.json"
SHARD_COLUMNS: dict[str, pa.DataType] = {
    "path": pa.string(),
    "sha256": pa.string(),
    "seconds": pa.float64(),
    "frames": pa.int32(),
    "codes": pa.list_(pa.int16()),  # of frame 0 all K codebooks, then those of frame 1, …
    "ends": pa.bool_(),
    "error": pa.string(),
    "tags": pa.string(),  # separated by commas
    "lyrics": pa.string(),  # plain or LRC
    "rights": pa.string(),
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
    tags: str = ""
    lyrics: str = ""
    rights: str = "unknown"


class Catalogue:
    """The folder that a catalogue's codes are written to."""

    def __init__(self, folder: Path, audio: Path):
        self.folder, self.audio = folder, audio
        self.index, self.errors = folder / INDEX_NAME, folder / "errors.jsonl"

    def make_lists(self) -> int:
        """List the recordings, once and for all; return the number of shards.

        Raises InvalidInputError where there are none, ConflictError where the folder is another one's.
        """
        lists, source = self.folder / LISTS, self.folder / LISTS / "source.json"
        if not lists.is_dir():
            with replaced_folder(lists) as temporary:
                left_out: list[dict[str, str]] = []
                found = described(self.audio, left_out)
                for number, listed in enumerate(in_shards(found)):
                    (temporary / f"{number:05d}.json").write_text(json.dumps(listed), encoding="utf-8")
                if not any(temporary.iterdir()):
                    raise InvalidInputError(
                        f"There is no recording in {self.audio}.", f"Known suffixes: {', '.join(AUDIO_SUFFIXES)}."
                    )
                (temporary / LEFT_OUT).write_text(json.dumps(left_out), encoding="utf-8")
                (temporary / source.name).write_text(json.dumps(str(self.audio)), encoding="utf-8")
        elif json.loads(source.read_text(encoding="utf-8")) != str(self.audio):
            raise ConflictError(f"{self.folder} holds the codes of another folder.", "Give another one to write to.")
        return len([*lists.glob("[0-9]*.json")])

    def shard(self, number: int) -> Path:
        return self.folder / shard_name(number)

    def missing(self, count: int) -> Iterator[int]:
        """Yield the shards that are not written yet."""
        return (number for number in range(count) if not self.shard(number).is_file())

    def write_shard(self, number: int, codec: Codec, limits: AudioLimits) -> None:
        """Write the codes of one shard. Raises CheckpointMissingError without an encoder, OSError."""
        listed = json.loads((self.folder / LISTS / f"{number:05d}.json").read_text(encoding="utf-8"))
        rows = [asdict(self._row(entry, codec, limits)) for entry in listed]
        codebooks = next((len(row["codes"]) // row["frames"] for row in rows if row["frames"]), 0)
        facts = {"codec_id": codec.codec_id, "codebooks": str(codebooks)}
        with replaced_file(self.shard(number)) as temporary:
            table = pa.Table.from_pylist(rows, SHARD.with_metadata(facts))
            pq.write_table(table, temporary, row_group_size=1, compression="zstd")

    def write_index(self, count: int) -> tuple[int, int]:
        """Write the index and the report, shard by shard; return how many recordings have codes, and how many none.

        The report begins with the texts that could not be read when the recordings were listed.
        """
        good = bad = 0
        left_out = self.folder / LISTS / LEFT_OUT
        said = json.loads(left_out.read_text(encoding="utf-8")) if left_out.is_file() else []
        with (
            replaced_file(self.index) as index,
            replaced_file(self.errors) as errors,
            pq.ParquetWriter(index, INDEX) as writer,
            errors.open("w", encoding="utf-8") as report,
        ):
            report.writelines(json.dumps(entry) + "\n" for entry in said)
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

    def _row(self, entry: str | dict[str, Any], codec: Codec, limits: AudioLimits) -> Row:
        """Make the row of an entry of a list, which is only a path where an earlier release wrote it."""
        said: dict[str, Any] = {"path": entry} if isinstance(entry, str) else entry
        try:
            tokens = codec.encode_file(self.audio / said["path"], limits=limits)
        except (AudioError, OSError) as error:
            return Row(**said, error=str(error))
        codes = tuple(tokens.codes.T.flatten().tolist())
        frames = tokens.codes.shape[1]
        heard = Row(said["path"], tokens.source_sha256, tokens.source_sec, frames, codes, tokens.ends)
        return replace(heard, **said)


def shard_name(number: int) -> str:
    return f"codes-{number:05d}.parquet"


def in_shards(entries: Iterable[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    waiting = iter(entries)
    while shard := list(islice(waiting, SHARD_FILES)):
        yield shard


def described(folder: Path, left_out: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the recordings below a folder in one order, with what metadata and the texts beside them say of them.

    What could not be read of these is added to `left_out`, a path and an error each.
    """

    def skip(name: str, reason: str) -> None:
        left_out.append({"path": name, "error": reason})

    for file, words in described_recordings(list(files_below(folder)), skip):
        path, tags = file.path.relative_to(folder).as_posix(), ",".join(split_tags(words.tags))
        try:
            lyrics = checked_lyrics(words.lyrics)
        except InvalidInputError as error:
            lyrics = ""
            skip(path, error.message)
        yield {"path": path, "tags": tags, "lyrics": lyrics, "rights": words.rights}


def files_below(folder: Path) -> Iterator[SourceFile]:
    """Yield the files below a folder in one order; what begins with a dot is passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in readable(names):
            if not name.startswith("."):
                path = Path(place) / name
                yield SourceFile(unicodedata.normalize("NFC", path.relative_to(folder).as_posix()), path)


def readable(names: Sequence[str]) -> list[str]:
    """Return the names that are valid text, sorted."""
    return sorted(name for name in names if name.isprintable())
