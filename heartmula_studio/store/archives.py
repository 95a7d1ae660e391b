"""Checkpoints as one file: packed for a download, and unpacked from one that anybody may have made.

From an archive only the known files of a checkpoint are taken, by their names; no path in it is ever followed, and
nothing in it is ever run.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMissingError,
    UploadTooLargeError,
)
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.store.provenance import MAX_BYTES as MAX_META_BYTES
from heartmula_studio.store.provenance import Provenance, read_provenance
from heartmula_studio.store.records import Method

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_CONFIG = "config.json"
META = "meta.json"
DIFFUSERS_WEIGHTS = "pytorch_lora_weights.safetensors"
CHUNK_BYTES = 2**20
MAX_ENTRIES = 10_000
MAX_TABLE_BYTES = 2**22
MAX_JSON_BYTES = 10_000_000
MAX_UNPACKED_BYTES = 2**35
LOCAL_HEADER_BYTES = 30  # in front of each file and its name
SMALL_BYTES = 2**28  # below this an archive may be packed as tightly as it likes
MAX_RATIO = 20

_MODEL_FILES = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
_PICKLES = re.compile(r".+\.(bin|pt|pth|ckpt|pkl|pickle)", re.IGNORECASE)
_WHAT = (
    f"Give a .zip of an adapter folder ({ADAPTER_WEIGHTS} and {ADAPTER_CONFIG}), or of a full checkpoint "
    f"(model.safetensors and {MODEL_CONFIG})."
)


@dataclass(frozen=True)
class Unpacked:
    """What an archive held, and how that came about as its meta.json says."""

    method: Method
    provenance: Provenance


def method_of(names: Sequence[str]) -> Method | None:
    """Tell what a folder with these files is; None if it is no checkpoint."""
    if {ADAPTER_WEIGHTS, ADAPTER_CONFIG} <= set(names):
        return "lora"
    has_weights = any(_MODEL_FILES.fullmatch(name) and name.endswith(".safetensors") for name in names)
    return "full" if has_weights and MODEL_CONFIG in names else None


def belongs(name: str, method: Method) -> bool:
    """Tell whether a file is part of a checkpoint's weights."""
    if method == "lora":
        return name in (ADAPTER_WEIGHTS, ADAPTER_CONFIG)
    return name == MODEL_CONFIG or _MODEL_FILES.fullmatch(name) is not None


def zipped(files: Sequence[Path], folder_name: str) -> Iterator[bytes]:
    """Yield a zip of the files, in a folder of this name; memory holds about one megabyte of it.

    Raises StorageError where a file cannot be read.
    """
    pipe = Pipe()
    # Deflate at level 0 keeps the bytes as they are but, unlike a stored entry, tells a stream where it ends.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        for path in files:
            with disk_explained(path), path.open("rb") as source:
                # By name: an entry made beforehand would bring a level of its own.
                name, is_large = f"{folder_name}/{path.name}", path.stat().st_size >= 2**31
                with archive.open(name, "w", force_zip64=is_large) as target:
                    while chunk := source.read(CHUNK_BYTES):
                        target.write(chunk)
                        yield pipe.take()
    yield pipe.take()


def unpack(archive: Path, into: Path) -> Unpacked:
    """Write the checkpoint in a zip to the folder `into`.

    Raises CheckpointCorruptError for what is no zip, or a damaged one; CheckpointMissingError without a checkpoint in
    it; CheckpointError for pickled weights, or several checkpoints; UploadTooLargeError for one that unpacks to too
    much; StorageError. `into` may hold some of the files then.
    """
    _require_zip(archive)
    try:
        with _CarefulFile(archive) as opened, zipfile.ZipFile(opened) as file:
            _require_apart(file)
            entries, method = _choose(_entries(file))
            limit = min(MAX_UNPACKED_BYTES, max(SMALL_BYTES, archive.stat().st_size * MAX_RATIO))
            for name, entry in entries.items():
                if belongs(name, method):
                    limit -= _extract(file, entry, into / name, min(limit, _limit_of(name)))
            return Unpacked(method, _provenance(file, entries.get(META)))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise CheckpointCorruptError(f"The archive cannot be read: {error}.", "Pack and send it again.") from error


class Pipe(io.RawIOBase):
    """What a writer of archives writes to, taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: "ReadableBuffer") -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class _CarefulFile(io.FileIO):
    """An archive of which no huge table of contents is read into memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_TABLE_BYTES:
            raise zipfile.BadZipFile(f"it holds far over {MAX_ENTRIES:,} files")
        return super().read(size)


def _require_zip(archive: Path) -> None:
    with disk_explained(archive), archive.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK"):
        return
    if head[8:9] == b"{":
        raise CheckpointMissingError(
            f"A single safetensors file does not say how it is to be applied; {ADAPTER_CONFIG} does.", _WHAT
        )
    if head.startswith(b"\x80"):
        raise _pickled("The file")
    raise CheckpointCorruptError("The file is not a zip archive.", _WHAT)


def _require_apart(file: zipfile.ZipFile) -> None:
    """Raise BadZipFile where files share bytes: a small archive would unpack to any size."""
    end = 0
    for entry in sorted(file.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise zipfile.BadZipFile(f"{entry.filename[:100]!r} overlaps another file in it")
        end = entry.header_offset + LOCAL_HEADER_BYTES + len(entry.orig_filename) + entry.compress_size
    if end > file.start_dir:
        raise zipfile.BadZipFile("its files overlap its table of contents")


def _entries(file: zipfile.ZipFile) -> dict[str, dict[str, zipfile.ZipInfo]]:
    """The files in the archive by name, for each folder in it."""
    folders: dict[str, dict[str, zipfile.ZipInfo]] = {}
    if len(file.infolist()) > MAX_ENTRIES:
        raise UploadTooLargeError(f"The archive holds over {MAX_ENTRIES:,} files.", _WHAT)
    for entry in file.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if entry.is_dir():
            continue
        if path.name in folders.setdefault(str(path.parent), {}):
            raise zipfile.BadZipFile(f"it holds {entry.filename[:100]!r} twice")
        folders[str(path.parent)][path.name] = entry
    return folders


def _choose(folders: dict[str, dict[str, zipfile.ZipInfo]]) -> tuple[dict[str, zipfile.ZipInfo], Method]:
    """The one folder that is a checkpoint, and its kind."""
    found = [(entries, method) for entries in folders.values() if (method := method_of(list(entries)))]
    if len(found) > 1:
        raise CheckpointError(f"The archive holds {len(found)} checkpoints.", "Pack one folder at a time.")
    if found:
        return found[0]
    names = [name for entries in folders.values() for name in entries]
    if pickles := [name for name in names if _PICKLES.fullmatch(name)]:
        raise _pickled(pickles[0])
    if DIFFUSERS_WEIGHTS in names:
        raise CheckpointMissingError(
            f"{DIFFUSERS_WEIGHTS} does not say how it is to be applied; {ADAPTER_CONFIG} does.", _WHAT
        )
    raise CheckpointMissingError("The archive holds no checkpoint.", _WHAT)


def _pickled(what: str) -> CheckpointError:
    return CheckpointError(
        f"{what} is a pickle, which can run code when it is opened.",
        "Save it as safetensors: model.save_pretrained(folder, safe_serialization=True), then pack that folder.",
    )


def _limit_of(name: str) -> int:
    return MAX_JSON_BYTES if name.endswith(".json") else MAX_UNPACKED_BYTES


def _extract(file: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, max_bytes: int) -> int:
    """Write one file and return its size; what the archive claims of the size is not believed."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError(f"{path.name} is packed in an unusual way")
    size_bytes = 0
    with disk_explained(path), file.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise UploadTooLargeError(f"{path.name} unpacks to over {max_bytes:,} bytes.", _WHAT)
            target.write(chunk)
    if size_bytes != entry.file_size:
        raise zipfile.BadZipFile(f"{path.name} is not as large as it claims")
    return size_bytes


def _provenance(file: zipfile.ZipFile, entry: zipfile.ZipInfo | None) -> Provenance:
    if entry is None:
        return Provenance()
    with file.open(entry) as source:
        return read_provenance(source.read(MAX_META_BYTES + 1))
