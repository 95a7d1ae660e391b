"""The tracks of a catalogue's shards, read one at a time: memory holds where each is, and a few open files."""

import hashlib
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from heartmula_studio.dataset.catalogue import shard_name
from heartmula_studio.dataset.catalogue_folder import INDEX_NAME
from heartmula_studio.dataset.held_out import base_title
from heartmula_studio.dataset.windows import TrackInfo, held_out_key, num_held_out
from heartmula_studio.errors import CheckpointMismatchError, InvalidInputError

OPEN_SHARDS = 16
NAMES_AT_ONCE = 2**14
MOST_HELD_OUT = 50  # tracks; more would take longer than they tell more
MAKE_AGAIN = "Run `heartmula-studio catalogue` again: it writes what is missing."


@dataclass(frozen=True)
class Split:
    """The numbers of the tracks to learn from, int32 in order, and of the held-out ones."""

    train: np.ndarray
    held_out: tuple[int, ...]


class CatalogueTracks:
    """Tracks by number, in the order of the index. Any of them takes a read of its own row only."""

    def __init__(self, folder: Path, codec_id: str):
        """codec_id: of the codec that the codes have to be of.

        Raises InvalidInputError for an index that cannot be read, or that lists no recording.
        """
        self.folder, self._codec_id = folder, codec_id
        with _explained(folder / INDEX_NAME):
            index = pq.read_table(folder / INDEX_NAME, columns=["shard", "row"])
        self._shards, self._rows = (index.column(name).to_numpy() for name in ("shard", "row"))
        if not len(self):
            raise InvalidInputError(f"{folder} holds no codes.", "Its errors.jsonl says why.")
        self._open = lru_cache(OPEN_SHARDS)(self._opened)

    def __len__(self) -> int:
        return len(self._rows)

    def info(self, number: int) -> TrackInfo:
        """Read what is said of a track, without its codes. Raises as `codes`."""
        row = self._read(number, ("path", "tags", "lyrics", "frames", "ends"))
        said = row.get("tags") or "", row.get("lyrics") or ""  # shards of an earlier release have neither
        return TrackInfo(row["path"], number, *said, row["frames"], row["ends"])

    def codes(self, number: int) -> Tensor:
        """Read the codes of a track, int16 [K, F].

        Raises InvalidInputError where its shard is gone or damaged, CheckpointMismatchError for another codec's.
        """
        row = self._read(number, ("codes", "frames"))
        return torch.from_numpy(np.asarray(row["codes"], np.int16).reshape(row["frames"], -1).T.copy())

    def names(self) -> Iterator[str]:
        """Yield the paths of all tracks in order, from the disk."""
        with _explained(self.folder / INDEX_NAME), pq.ParquetFile(self.folder / INDEX_NAME) as file:
            for batch in file.iter_batches(NAMES_AT_ONCE, columns=["path"]):
                yield from map(str, batch.column(0).to_pylist())

    def split(self) -> Split:
        """Hold out one track in ten, at most 50, by their names alone; other versions of these are left out of both."""
        wanted = min(num_held_out(len(self)), MOST_HELD_OUT)
        found = heapq.nsmallest(wanted, ((held_out_key(name), number) for number, name in enumerate(self.names())))
        held_out = {number for _, number in found}
        titles = {_title(name) for number, name in enumerate(self.names()) if number in held_out}
        train = (number for number, name in enumerate(self.names()) if _title(name) not in titles)
        return Split(np.fromiter(train, np.int32), tuple(sorted(held_out)))

    def digest(self) -> str:
        """Return an id of the index. Shards are written once."""
        with (self.folder / INDEX_NAME).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _read(self, number: int, columns: tuple[str, ...]) -> dict[str, Any]:
        path = self.folder / shard_name(int(self._shards[number]))
        with _explained(path):
            file, row = self._open(path), int(self._rows[number])
            wanted = [name for name in columns if name in file.schema_arrow.names]
            is_alone = file.num_row_groups == file.metadata.num_rows
            table = file.read_row_group(row if is_alone else 0, wanted)
            table = table if is_alone else table.slice(row, 1)
            values = {name: table.column(name)[0] for name in wanted}
            return {
                name: value.values.to_numpy() if name == "codes" else value.as_py() for name, value in values.items()
            }

    def _opened(self, path: Path) -> pq.ParquetFile:
        file = pq.ParquetFile(path, pre_buffer=False)
        codec_id = (file.schema_arrow.metadata or {}).get(b"codec_id", b"").decode()
        if codec_id != self._codec_id:
            raise CheckpointMismatchError(
                f"{path} holds codes of {codec_id or 'no codec'}; this base model has {self._codec_id}.",
                "Tokenize the catalogue with this base model.",
            )
        return file


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise InvalidInputError that names the file in place of what reading it raises."""
    try:
        yield
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path} is gone.", MAKE_AGAIN) from error
    except (OSError, pa.ArrowException, IndexError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}.", f"Delete it. {MAKE_AGAIN}") from error


def _title(name: str) -> str:
    """What versions of one song in one folder have in common."""
    return f"{PurePosixPath(name).parent}/{base_title(PurePosixPath(name).stem)}"
