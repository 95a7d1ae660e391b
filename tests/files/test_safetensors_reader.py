"""Safetensors files with odd headers: read where the format allows it, else refused for what they are."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from heartmula_studio.errors import CheckpointCorruptError, CheckpointMismatchError
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.files.safetensors_reader import TensorFile


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content + data)
    return path


def entry(*offsets: int, dtype: Any = "F32", shape: Any = (2,)) -> dict:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        b"[]",
        b"null",
        b"\xff\xfe",
        {"a": None},
        {"a": []},
        {"a": entry(0, 8, dtype="F31")},
        {"a": entry(0, 8, dtype=["F32"])},
        {"a": entry(0, 8, shape=None)},
        {"a": entry(0, 8, shape=(-1, -2))},
        {"a": entry(0, 8, shape=(2.0,))},
        {"a": entry(0, 8, shape=(True, 2))},
        {"a": entry(0, 8, shape=(1,) * 65)},
        {"a": entry(0, 0, shape=(2**63, 0))},
        {"a": entry(0, 8, shape=(3,))},
        {"a": entry(-8, 0)},
        {"a": entry(8, 0)},
        {"a": entry(0)},
        {"a": entry(0, 8), "b": entry(0, 8)},
        {"a": entry(0, 8), "b": entry(4, 12)},
        {"a": entry(8, 16)},
        {"a": entry(0, 8), "b": entry(12, 20)},
        {"a": entry(0, 8), "b": entry(8, 2**40, shape=(2**38 - 2,))},
    ],
)
def test_a_header_that_cannot_be_right_is_refused(tmp_path, header):
    """P: a deeply nested header was a bug in the program (500), and tensors could share their bytes."""
    path = write(tmp_path / "model.safetensors", header, bytes(16))
    with pytest.raises(CheckpointCorruptError, match=r"model\.safetensors"):
        TensorFile(path)
    with pytest.raises(CheckpointCorruptError, match=r"model\.safetensors"):
        fingerprint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n"])
def test_what_is_no_safetensors_file_at_all(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match="is empty|whole safetensors|Git LFS pointer"):
        TensorFile(tmp_path / "model.safetensors")


@pytest.mark.parametrize(("dtype", "size"), [("F8_E4M3", 2), ("F8_E5M2", 2), ("F4", 1), ("U16", 4), ("C64", 16)])
def test_types_that_are_not_read_are_named_and_not_called_damaged(tmp_path, dtype, size):
    """P: 8-bit weights were called damaged."""
    path = write(tmp_path / "model.safetensors", {"a": entry(0, size, dtype=dtype)}, bytes(size))
    with TensorFile(path) as file, pytest.raises(CheckpointMismatchError, match=f"holds a as {dtype}"):
        file.require_floats()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_the_library_writes_is_read(tmp_path, dtype):
    tensors = {"scalar": torch.tensor(3.0), "none": torch.zeros(0, 4), "matrix": torch.arange(6.0).reshape(2, 3)}
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, tmp_path / "a.safetensors", {"x": "y"})
    with TensorFile(tmp_path / "a.safetensors") as file:
        file.require_floats()
        assert all(torch.equal(file.read(name, "cpu", torch.float32), tensors[name]) for name in file.shapes)
        assert file.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
