"""Names for contents: the SHA-256 of a file, and a short id of a model folder, cheap enough for 16 GB."""

import hashlib
import struct
from pathlib import Path

from heartmula_studio.files.safetensors_reader import TensorFile

SAMPLES = 64
SAMPLE_BYTES = 4096


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a whole file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: str | Path) -> str:
    """Hash `config.json` and, of each safetensors file, its size, header and evenly spread samples of its tensors.

    Not a checksum: it tells models and training stages apart, it does not find a single flipped bit.
    Raises CheckpointCorruptError for a file that is cut off or not safetensors.
    """
    digest = hashlib.sha256()
    weights = [path for path in Path(folder).glob("*.safetensors") if not path.name.startswith(".")]
    for path in sorted([*Path(folder).glob("config.json"), *weights]):
        digest.update(path.name.encode())
        for piece in _pieces(path):
            digest.update(piece)
    return digest.hexdigest()[:16]


def _pieces(path: Path) -> list[bytes]:
    if path.suffix == ".json":
        return [path.read_bytes()]
    with TensorFile(path):  # one that cannot be read has no name
        size_bytes = path.stat().st_size
    with path.open("rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        start = 8 + header_bytes
        pieces = [struct.pack("<Q", size_bytes), file.read(min(header_bytes, size_bytes))]
        for sample in range(SAMPLES):
            file.seek(start + (size_bytes - start) * sample // SAMPLES)
            pieces.append(file.read(SAMPLE_BYTES))
    return pieces
