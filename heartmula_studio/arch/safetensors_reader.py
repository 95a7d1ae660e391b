"""Reads safetensors files block by block, casting on the way.

The library's reader maps the file into memory, so an fp32 file counts three times while it becomes bf16 weights
(the mapped pages, then the copy). Here the peak is the final tensors and one block.
Format: https://huggingface.co/docs/safetensors (8-byte length, JSON header, data).
"""

import json
import math
import struct
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from heartmula_studio.errors import CheckpointCorruptError

BLOCK_BYTES = 16 << 20
MAX_HEADER_BYTES = 100 << 20
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class TensorFile:
    """One open safetensors file: `shapes` by name, `read` one tensor at a time.

    Raises CheckpointCorruptError when the file is cut off or is not safetensors.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file: BinaryIO = path.open("rb")
        try:
            self._entries, self._data_start = self._read_header()
        except CheckpointCorruptError:
            self._file.close()
            raise
        self.shapes = {name: tuple(entry["shape"]) for name, entry in self._entries.items()}

    def __enter__(self) -> "TensorFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, name: str, device: str | torch.device, dtype: torch.dtype) -> Tensor:
        """Read one tensor onto `device`; floating-point tensors become `dtype`, others keep theirs."""
        entry = self._entries[name]
        source = DTYPES[entry["dtype"]]
        target = dtype if source.is_floating_point else source
        result = torch.empty(entry["shape"], dtype=target, device=device)
        flat, done = result.view(-1), 0
        self._file.seek(self._data_start + entry["data_offsets"][0])
        while done < flat.numel():
            count = min(BLOCK_BYTES // source.itemsize, flat.numel() - done)
            block = bytearray(count * source.itemsize)
            self._file.readinto(block)
            flat[done : done + count].copy_(torch.frombuffer(block, dtype=source))
            done += count
        return result

    def _read_header(self) -> tuple[dict, int]:
        size_bytes = self.path.stat().st_size
        try:
            (length,) = struct.unpack("<Q", self._file.read(8))
            if length > min(size_bytes, MAX_HEADER_BYTES):
                raise ValueError(f"its header should be {length} bytes long")
            entries = json.loads(self._file.read(length))
            entries.pop("__metadata__", None)
            for entry in entries.values():
                check_entry(entry)
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._corrupt(f"is not a whole safetensors file ({error})") from error
        needed = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        if size_bytes < needed:
            raise self._corrupt(f"is truncated: it holds {size_bytes:,} of {needed:,} bytes")
        return entries, 8 + length

    def _corrupt(self, reason: str) -> CheckpointCorruptError:
        return CheckpointCorruptError(f"{self.path} {reason}.", "Download it again from where it came.")


def check_entry(entry: dict) -> None:
    """Raise ValueError unless an entry's type is known and its offsets span exactly its shape."""
    start, end = entry["data_offsets"]
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"unknown type {entry['dtype']}")
    if start < 0 or end - start != math.prod(entry["shape"]) * DTYPES[entry["dtype"]].itemsize:
        raise ValueError("a tensor's extent does not match its shape")
