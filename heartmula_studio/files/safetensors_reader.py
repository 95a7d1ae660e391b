"""Reads safetensors files block by block, casting on the way.

The library's reader maps the file into memory, so an fp32 file counts three times while it becomes bf16 weights
(the mapped pages, then the copy). Here the peak is the final tensors and one block.
Format: https://huggingface.co/docs/safetensors (8-byte length, JSON header, data without gaps or overlaps).
"""

import json
import math
import struct
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError, CheckpointMissingError
from heartmula_studio.files.git_lfs import explain_unreadable
from heartmula_studio.files.regular_file import open_regular

DOWNLOAD_HINT = "Download it again from where it came."
BLOCK_BYTES = 16 << 20
MAX_HEADER_BYTES = 100 << 20
MAX_DIMENSIONS = 64
MAX_COUNT = 2**63 - 1
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
# Types of the format that hold quantised, unsigned or complex numbers, with their size in bits. Without the scales
# they were made with, such weights mean nothing, so they are named and not read.
UNREAD_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    "U16": 16,
    "U32": 32,
    "U64": 64,
    "C64": 64,
}
BITS = {name: 8 * dtype.itemsize for name, dtype in DTYPES.items()} | UNREAD_BITS


@dataclass(frozen=True)
class TensorHeader:
    """What a file says of one tensor; `start` and `end` are bytes behind the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @classmethod
    def parse(cls, name: str, entry: Any) -> "TensorHeader":
        """Raises ValueError unless the type is known and the offsets span exactly the shape."""
        dtype, shape, offsets = (read_key(entry, key) for key in ("dtype", "shape", "data_offsets"))
        if not isinstance(dtype, str) or dtype not in BITS:
            raise ValueError(f"{name} has the unknown type {str(dtype):.40}")
        if not are_counts(shape) or not are_counts(offsets) or len(offsets) != 2:
            raise ValueError(f"{name} has the shape {str(shape):.80} and the extent {str(offsets):.80}")
        if 8 * (offsets[1] - offsets[0]) != math.prod(shape) * BITS[dtype]:
            raise ValueError(f"the extent of {name} does not match its shape")
        return cls(dtype, tuple(shape), *offsets)

    @property
    def is_float(self) -> bool:
        return self.dtype in DTYPES and DTYPES[self.dtype].is_floating_point


class TensorFile:
    """One open safetensors file: `headers` and `shapes` by name, `read` one tensor at a time.

    Raises CheckpointMissingError, or CheckpointCorruptError when the file is cut off, a pointer to the real one, not
    safetensors, or no file that can be read.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            file = open_regular(path)
        except FileNotFoundError as error:
            raise CheckpointMissingError(f"{path} is missing.", DOWNLOAD_HINT) from error
        except OSError as error:
            raise self._corrupt(f"cannot be read: {error.strerror}") from error
        assert isinstance(file, BufferedReader)
        self._file = file
        try:
            self.headers, self._data_start = self._read_header()
        except CheckpointCorruptError:
            self._file.close()
            raise
        self.shapes = {name: header.shape for name, header in self.headers.items()}

    def __enter__(self) -> "TensorFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def require_floats(self) -> None:
        """Raise CheckpointMismatchError naming the first tensor that holds no floating-point numbers."""
        for name, header in self.headers.items():
            if not header.is_float:
                raise CheckpointMismatchError(
                    f"{self.path} holds {name} as {header.dtype}, which are no weights that can be used as they are.",
                    "Save it in float32, float16 or bfloat16, or get it in one of them.",
                )

    def read(self, name: str, device: str | torch.device, dtype: torch.dtype) -> Tensor:
        """Read one tensor onto `device`; floating-point tensors become `dtype`, others keep theirs."""
        header = self.headers[name]
        source = DTYPES[header.dtype]
        target = dtype if source.is_floating_point else source
        result = torch.empty(header.shape, dtype=target, device=device)
        flat, done = result.view(-1), 0
        self._file.seek(self._data_start + header.start)
        while done < flat.numel():
            count = min(BLOCK_BYTES // source.itemsize, flat.numel() - done)
            block = bytearray(count * source.itemsize)
            self._file.readinto(block)
            flat[done : done + count].copy_(torch.frombuffer(block, dtype=source))
            done += count
        return result

    def _read_header(self) -> tuple[dict[str, TensorHeader], int]:
        size_bytes = self.path.stat().st_size
        if size_bytes == 0:
            raise self._corrupt("is empty")
        try:
            (length,) = struct.unpack("<Q", self._file.read(8))
            if length > min(size_bytes, MAX_HEADER_BYTES):
                raise ValueError(f"its header should be {length:,} bytes long")
            headers = parse_header(self._file.read(length))
        except (struct.error, ValueError, RecursionError) as error:
            raise self._corrupt(f"is not a whole safetensors file ({error})") from error
        needed = 8 + length + max((header.end for header in headers.values()), default=0)
        if size_bytes < needed:
            raise self._corrupt(f"is truncated: it holds {size_bytes:,} of {needed:,} bytes")
        return headers, 8 + length

    def _corrupt(self, reason: str) -> CheckpointCorruptError:
        return CheckpointCorruptError(explain_unreadable(self.path, reason), DOWNLOAD_HINT)


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a file's writer put into its header. Raises as `TensorFile`."""
    with TensorFile(path), path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        values = json.loads(file.read(length)).get("__metadata__")
    return {k: v for k, v in values.items() if isinstance(v, str)} if isinstance(values, dict) else {}


def parse_header(content: bytes) -> dict[str, TensorHeader]:
    """Raises ValueError or RecursionError unless it is a header whose tensors lie one behind the other."""
    entries = json.loads(content)
    if not isinstance(entries, dict):
        raise ValueError("its header is not a JSON object")
    headers = {name: TensorHeader.parse(name, entry) for name, entry in entries.items() if name != "__metadata__"}
    end = 0
    for name, header in sorted(headers.items(), key=lambda item: (item[1].start, item[1].end)):
        if header.start != end:
            raise ValueError(f"the extent of {name} overlaps another tensor's, or leaves a gap")
        end = header.end
    return headers


def read_key(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def are_counts(values: object) -> bool:
    """Whether it is a list of whole numbers that can be sizes."""
    return (
        isinstance(values, list)
        and len(values) <= MAX_DIMENSIONS
        and all(type(value) is int and 0 <= value <= MAX_COUNT for value in values)
    )
