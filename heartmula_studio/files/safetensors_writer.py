"""Writes safetensors files one tensor at a time, so that weights larger than the memory can be written.

The library's writer wants all tensors at once. Format: https://huggingface.co/docs/safetensors.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.files.safetensors_reader import DTYPES

SHARD_BYTES = 5_000_000_000
ALIGNMENT = 8
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that is about to be written."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write_safetensors(
    path: Path, specs: Mapping[str, TensorSpec], read: Callable[[str], Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a file of the tensors that `read` gives, in the order of `specs`; each becomes its spec's type."""
    with path.open("wb") as file:
        file.write(_header(specs, metadata))
        for name, spec in specs.items():
            tensor = read(name)
            assert tuple(tensor.shape) == spec.shape, f"{name}: {tuple(tensor.shape)} instead of {spec.shape}"
            flat = tensor.detach().to("cpu", spec.dtype).contiguous().view(-1)
            file.write(flat.view(torch.uint8).numpy().data if flat.numel() else b"")


def write_sharded(
    folder: Path, specs: Mapping[str, TensorSpec], read: Callable[[str], Tensor], shard_bytes: int = SHARD_BYTES
) -> None:
    """Write `model.safetensors`, or shards of at most `shard_bytes` with their index, as `transformers` names them."""
    shards = _split(specs, shard_bytes)
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
        index = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        total = sum(spec.size_bytes for spec in specs.values())
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1)
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    for name, shard in zip(names, shards, strict=True):
        write_safetensors(folder / name, shard, read, {"format": "pt"})


def _split(specs: Mapping[str, TensorSpec], shard_bytes: int) -> list[dict[str, TensorSpec]]:
    shards: list[dict[str, TensorSpec]] = [{}]
    room = shard_bytes
    for name, spec in specs.items():
        if spec.size_bytes > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = spec
        room -= spec.size_bytes
    return shards


def _header(specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, spec in specs.items():
        end = start + spec.size_bytes
        entries[name] = {"dtype": TYPE_NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
