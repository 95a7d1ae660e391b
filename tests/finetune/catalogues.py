"""Catalogues of made-up codes, as `dataset/catalogue.py` writes them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.identity import stored_codebook_id
from heartmula_studio.dataset.catalogue import SHARD, SHARD_FILES, Catalogue, Row
from tests.finetune.training_jobs import MAX_CODE

CODEBOOKS = 8
NANO_CODES = 64


def made_up_row(number: int, num_frames: int, max_code: int = MAX_CODE) -> Row:
    """A recording of random codes, always the same for one number."""
    codes = np.random.default_rng(number).integers(0, max_code, num_frames * CODEBOOKS)
    words = "[verse]\nthe sun creeps in" if number % 2 else ""
    return Row(f"{number // 10}/{number}.mp3", str(number), num_frames / 12.5, num_frames, tuple(codes.tolist()), True,
               tags=f"piano,mood {number % 7}", lyrics=words)  # fmt: skip


def write_catalogue(folder: Path, base_dir: Path, rows: Sequence[Row], codec_id: str = "", group: int = 1) -> Path:
    """Write shards and index of a catalogue; `codec_id` is that of the base unless given."""
    folder.mkdir()
    made = Catalogue(folder, folder)
    starts = range(0, len(rows), SHARD_FILES)
    for shard, start in enumerate(starts):
        table = table_of(rows[start : start + SHARD_FILES], codec_id or codec_of(base_dir))
        pq.write_table(table, made.shard(shard), row_group_size=group, compression="zstd")
    made.write_index(len(starts))
    return folder


def write_large_catalogue(folder: Path, base_dir: Path, count: int, num_frames: int) -> Path:
    """Write a catalogue of so many recordings, which have the codes of ten."""
    folder.mkdir()
    made = Catalogue(folder, folder)
    table = table_of(
        [made_up_row(number % 10, num_frames) for number in range(min(count, SHARD_FILES))], codec_of(base_dir)
    )
    starts = range(0, count, SHARD_FILES)
    for shard, start in enumerate(starts):
        part = table.slice(0, min(count - start, SHARD_FILES))
        paths = pa.array([f"{start + row}.mp3" for row in range(len(part))])
        pq.write_table(part.set_column(0, SHARD.field("path"), paths), made.shard(shard), row_group_size=1)
    made.write_index(len(starts))
    return folder


def table_of(rows: Sequence[Row], codec_id: str) -> pa.Table:
    facts = {"codec_id": codec_id, "codebooks": str(CODEBOOKS)}
    return pa.Table.from_pylist([asdict(row) for row in rows], SHARD.with_metadata(facts))


def codec_of(base_dir: Path) -> str:
    return stored_codebook_id(find_base(base_dir).codec)
