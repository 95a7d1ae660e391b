"""Checkpoints as one file: packed for a download, and unpacked from one that anybody may have made.

From an archive only the known files of a checkpoint are taken, by their names; no path in it is ever followed, and
nothing in it is ever run.
"""

import io
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointMissingError,
    UploadTooLargeError,
)
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.zip_entry import require_common_compression
from heartmula_studio.store.provenance import MAX_BYTES as MAX_META_BYTES
from heartmula_studio.store.provenance import Provenance, read_provenance
from heartmula_studio.store.records import Method
from heartmula_studio.store.style_files import (
    ADAPTER_WEIGHTS,
    META,
    WHAT_IS_TAKEN,
    StyleFiles,
    choose_style,
    find_styles,
    pickle_error,
    refuse_pickles,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHUNK_BYTES = 2**20
MAX_ENTRIES = 10_000
MAX_TABLE_BYTES = 2**22
MAX_JSON_BYTES = 10_000_000
MAX_UNPACKED_BYTES = 2**35
LOCAL_HEADER_BYTES = 30  # in front of each file and its name
SMALL_BYTES = 2**28  # below this an archive may be packed as tightly as it likes
MAX_RATIO = 20


@dataclass(frozen=True)
class Unpacked:
    """A style out of an archive, a folder or a file, and how that came about as its meta.json says."""

    method: Method
    provenance: Provenance
    place: str = ""


def zipped(files: Sequence[Path], folder_name: str) -> Iterator[bytes]:
    """Yield a zip of the files, in a folder of this name. Raises as `zipped_as`."""
    yield from zipped_as((f"{folder_name}/{path.name}", path) for path in files)


def zipped_as(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a zip of files under other names; each is asked for when those before it are in.

    Memory holds about one megabyte of it. Raises StorageError where a file cannot be read.
    """
    pipe = Pipe()
    # Deflate at level 0 keeps the bytes as they are but, unlike a stored entry, tells a stream where it ends.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:
        for name, path in files:
            with disk_explained(path), path.open("rb") as source:
                # By name: an entry made beforehand would bring a level of its own.
                is_large = path.stat().st_size >= 2**31
                with archive.open(name, "w", force_zip64=is_large) as target:
                    while chunk := source.read(CHUNK_BYTES):
                        target.write(chunk)
                        yield pipe.take()
    yield pipe.take()


def unpack(archive: Path, into: Path, which: str | None = None) -> Unpacked:
    """Write a style to the folder `into`: out of a zip, or a single safetensors file.

    `which` of several is told by its path in the archive, or the end of that.
    Raises CheckpointCorruptError for what is neither, or damaged; CheckpointMissingError without a style in it;
    CheckpointError for pickled weights; ChoiceNeededError for several styles; UploadTooLargeError; StorageError. `into`
    may hold some of the files then.
    """
    if _is_safetensors(archive):
        with disk_explained(archive):
            shutil.copyfile(archive, into / ADAPTER_WEIGHTS)
        return Unpacked("lora", Provenance())
    try:
        with _CarefulFile(archive) as opened, zipfile.ZipFile(opened) as file:
            _require_apart(file)
            entries = _entries(file)
            style = choose_style(_require_styles(entries), which, "The archive")
            limit = min(MAX_UNPACKED_BYTES, max(SMALL_BYTES, archive.stat().st_size * MAX_RATIO))
            for name, path in style.files.items():
                if name != META:
                    limit -= _extract(file, entries[path], into / name, min(limit, _limit_of(name)))
            return Unpacked(style.method, _provenance(file, entries.get(style.files.get(META, ""))), style.name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise CheckpointCorruptError(f"The archive cannot be read: {error}.", "Pack and send it again.") from error


def offered_styles(source: Path) -> list[StyleFiles]:
    """The styles in a zip, a folder, or a single file. Raises as `unpack` and `gather`."""
    if source.is_dir():
        return _require_styles(_files_below(source))
    if _is_safetensors(source):
        return [StyleFiles("", "lora", {ADAPTER_WEIGHTS: source.name})]
    try:
        with _CarefulFile(source) as opened, zipfile.ZipFile(opened) as file:
            return _require_styles(_entries(file))
    except (zipfile.BadZipFile, ValueError) as error:
        raise CheckpointCorruptError(f"The archive cannot be read: {error}.", "Pack and send it again.") from error


def gather(source: Path, into: Path, which: str | None = None) -> Unpacked:
    """Do as `unpack` with a folder of this machine. For its owner only: it may hold links to anywhere."""
    files = _files_below(source)
    style = choose_style(_require_styles(files), which, source.name or "The folder")
    for name, path in style.files.items():
        if name != META:
            with disk_explained(files[path]):
                shutil.copyfile(files[path], into / name)
    meta = files.get(style.files.get(META, ""))
    with disk_explained(source):
        provenance = read_provenance(meta.open("rb").read(MAX_META_BYTES + 1)) if meta else Provenance()
    return Unpacked(style.method, provenance, style.name)


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


def _is_safetensors(archive: Path) -> bool:
    """Tell a single safetensors file from a zip. Raises CheckpointCorruptError, CheckpointError for what is neither."""
    with disk_explained(archive), archive.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK"):
        return False
    if head[8:9] == b"{":
        return True
    if head.startswith(b"\x80"):
        raise pickle_error("The file")
    raise CheckpointCorruptError("The file is neither a zip archive nor a safetensors file.", WHAT_IS_TAKEN)


def _files_below(source: Path) -> dict[str, Path]:
    """The files of a folder by their paths in it, with slashes. Raises StorageError, UploadTooLargeError."""
    files: dict[str, Path] = {}
    with disk_explained(source):
        for path in source.rglob("*"):
            if path.is_file():
                files[path.relative_to(source).as_posix()] = path
            if len(files) > MAX_ENTRIES:
                raise UploadTooLargeError(f"The folder holds over {MAX_ENTRIES:,} files.", WHAT_IS_TAKEN)
    return files


def _require_styles(paths: Iterable[str]) -> list[StyleFiles]:
    """The styles among files. Raises CheckpointError where there are only pickled ones, CheckpointMissingError."""
    paths = list(paths)
    if not (styles := find_styles(paths)):
        refuse_pickles(PurePosixPath(path).name for path in paths)
        raise CheckpointMissingError("It contains no checkpoint.", WHAT_IS_TAKEN)
    return styles


def _require_apart(file: zipfile.ZipFile) -> None:
    """Raise BadZipFile where files share bytes: a small archive would unpack to any size."""
    end = 0
    for entry in sorted(file.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise zipfile.BadZipFile(f"{entry.filename[:100]!r} overlaps another file in it")
        end = entry.header_offset + LOCAL_HEADER_BYTES + len(entry.orig_filename) + entry.compress_size
    if end > file.start_dir:
        raise zipfile.BadZipFile("its files overlap its table of contents")


def _entries(file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in the archive by their paths, which are only compared."""
    entries: dict[str, zipfile.ZipInfo] = {}
    if len(file.infolist()) > MAX_ENTRIES:
        raise UploadTooLargeError(f"The archive holds over {MAX_ENTRIES:,} files.", WHAT_IS_TAKEN)
    for entry in file.infolist():
        path = str(PurePosixPath(entry.filename.replace("\\", "/")))
        if entry.is_dir():
            continue
        if path in entries:
            raise zipfile.BadZipFile(f"it holds {entry.filename[:100]!r} twice")
        entries[path] = entry
    return entries


def _limit_of(name: str) -> int:
    return MAX_JSON_BYTES if name.endswith(".json") else MAX_UNPACKED_BYTES


def _extract(file: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, max_bytes: int) -> int:
    """Write one file and return its size; what the archive claims of the size is not believed."""
    require_common_compression(entry, path.name)
    size_bytes = 0
    with disk_explained(path), file.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise UploadTooLargeError(f"{path.name} unpacks to over {max_bytes:,} bytes.", WHAT_IS_TAKEN)
            target.write(chunk)
    if size_bytes != entry.file_size:
        raise zipfile.BadZipFile(f"{path.name} is not as large as it claims")
    return size_bytes


def _provenance(file: zipfile.ZipFile, entry: zipfile.ZipInfo | None) -> Provenance:
    if entry is None:
        return Provenance()
    with file.open(entry) as source:
        return read_provenance(source.read(MAX_META_BYTES + 1))
