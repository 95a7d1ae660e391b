"""The files of an import: those of a folder, and those in zip and tar archives, wherever they come from.

Of an archive only plain files are taken. They are written under numbers of ours, and their names are only compared:
no path in it is ever followed.
"""

import bz2
import gzip
import io
import os
import re
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from heartmula_studio.codec.audio_file import AUDIO_SUFFIXES
from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.errors import InvalidInputError, NotFoundError, UploadTooLargeError
from heartmula_studio.files.zip_entry import require_common_compression
from heartmula_studio.lyrics.decoding import decode_lyrics

MAX_ENTRIES = 20_000
MAX_READ_BYTES = 2**22  # of an archive's own records; what they claim of their size is not believed
MAX_TEXT_BYTES = 2**28  # of a metadata file
COPY_BYTES = 2**20
SMALL_BYTES = 2**28  # below this an archive may be packed as tightly as it likes
MAX_RATIO = 20
SOURCE_HINT = (
    "Give a folder, a .zip or a .tar of audio files (with a metadata.csv, .jsonl or .parquet, if you like), a .parquet "
    "file with audio in it, or a saved dataset."
)

Skip = Callable[[str, str], None]
"""Takes the name of something that is left out, and why."""

_CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
_PACKED = (b"\x1f\x8b", b"BZh")
_UNREAD_ARCHIVES = {b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!": "RAR"}


@dataclass(frozen=True)
class SourceFile:
    """`name` is the path inside the import, with slashes and in NFC; `path` is where the bytes lie."""

    name: str
    path: Path

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.name).parent)

    def is_above(self, other: "SourceFile") -> bool:
        """Whether the other lies in this one's folder, or deeper."""
        return self.folder == "." or other.name.startswith(f"{self.folder}/")

    @property
    def base(self) -> str:
        return PurePosixPath(self.name).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


def find_files(
    source: Path, called: str, scratch: Path, max_bytes: int, skip: Skip, cancelled: Cancelled | None = None
) -> list[SourceFile]:
    """List the files of a folder or an archive, or one file by itself, which its owner knows as `called`.

    Archives, and those in a folder, are unpacked into `scratch`, to at most `max_bytes` in all. What systems leave
    behind (`._a.wav`, `.DS_Store`, `Thumbs.db`) does not count.
    Raises NotFoundError, InvalidInputError for a damaged archive, UploadTooLargeError, CancelledError.
    """
    unpacker = _Unpacker(scratch, max_bytes, skip, cancelled)
    if os.path.isdir(source):  # which takes any name
        files = [file for found in _walk(source, skip) for file in unpacker.opened(found)]
    elif os.path.isfile(source):
        whole = SourceFile(unicodedata.normalize("NFC", called), source)
        _require_known_packing(whole)
        files = list(unpacker.unpack(whole, "")) if _is_archive(source) else [whole]
    else:
        raise NotFoundError(f"There is no file or folder {called}.", SOURCE_HINT)
    return files


def in_split(files: Sequence[SourceFile], split: str) -> list[SourceFile]:
    """Keep the files of one split: below a folder of that name, or called `train-00000-of-00002.parquet`.

    Raises NotFoundError where there are none.
    """
    named = re.compile(rf"(.*/)?{re.escape(split)}([-_./].*)?", re.IGNORECASE)
    kept = [file for file in files if named.fullmatch(file.name)]
    if not kept:
        raise NotFoundError(f"There is no split {split!r}.", "Leave it out to take all songs.")
    return kept


def read_text(file: SourceFile) -> str:
    """Read metadata in Unicode or, as Excel saves it, in a national encoding.

    Raises InvalidInputError where that cannot be told, ValueError for over `MAX_TEXT_BYTES`, OSError.
    """
    with file.path.open("rb") as opened:
        raw = opened.read(MAX_TEXT_BYTES + 1)
    if len(raw) > MAX_TEXT_BYTES:
        raise ValueError(f"it is over {MAX_TEXT_BYTES:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _decoded(raw, file.name)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return decode_lyrics(raw).text
    except InvalidInputError as error:
        raise InvalidInputError(f"{name} cannot be read: {error.message}", error.hint) from error


def _walk(folder: Path, skip: Skip) -> Iterator[SourceFile]:
    def tell(error: OSError) -> None:
        skip(_name_in(folder, Path(error.filename)), "It cannot be opened.")

    count = 0
    for parent, folders, names in os.walk(folder, onerror=tell):
        folders[:] = sorted(name for name in folders if not _is_clutter(name))
        for linked in filter(os.path.islink, [Path(parent, name) for name in folders]):
            skip(_name_in(folder, linked), "It is a link to a folder.")
        for path in sorted(Path(parent, name) for name in names):
            name = _name_in(folder, path)
            if _is_clutter(name):
                continue
            count += 1
            _require_few(count)
            if path.is_file():
                yield SourceFile(name, path)
            else:
                skip(name, "It is not a file, or a link to nothing.")


def _name_in(folder: Path, path: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


def _is_clutter(name: str) -> bool:
    """Whether systems hide it; songs as `.38 Special.mp3` and folders as `...And Justice for All` are none of it."""
    *folders, base = name.split("/")
    is_song = PurePosixPath(base).suffix.lower() in AUDIO_SUFFIXES and not base.startswith("._")
    return any(map(_is_hidden, folders)) or _is_hidden(base) and not is_song


def _is_hidden(part: str) -> bool:
    return part.lower() in _CLUTTER or part.startswith(".") and not part.startswith("..")


def _is_archive(path: Path) -> bool:
    """Tell by content, but for what only looks like a zip."""
    with path.open("rb") as file:
        head = file.read(265)
    return head.startswith((b"PK\3\4", b"PK\5\6", *_PACKED)) or head[257:262] == b"ustar"


def _require_known_packing(file: SourceFile) -> None:
    with file.path.open("rb") as opened:
        head = opened.read(6)
    for mark, packer in _UNREAD_ARCHIVES.items():
        if head.startswith(mark):
            raise InvalidInputError(
                f"{file.name} is packed with {packer}, which is not read.", "Pack it as a .zip, .tar or .tar.gz."
            )


def _require_few(count: int) -> None:
    if count > MAX_ENTRIES:
        raise UploadTooLargeError(f"There are over {MAX_ENTRIES:,} files.", "Import them in several parts.")


class _Unpacker:
    """Writes the files of archives into one folder, under numbers."""

    def __init__(self, scratch: Path, max_bytes: int, skip: Skip, cancelled: Cancelled | None):
        self._scratch, self._max_bytes, self._skip, self._cancelled = scratch, max_bytes, skip, cancelled
        self._left, self._limit, self._count = max_bytes, 0, 0

    def opened(self, file: SourceFile) -> Iterator[SourceFile]:
        """A file of a folder as it is, or what is in it."""
        is_archive = file.name.lower().endswith(_ARCHIVE_SUFFIXES) and _is_archive(file.path)
        yield from self.unpack(file, f"{file.name}/") if is_archive else [file]

    def unpack(self, archive: SourceFile, prefix: str) -> Iterator[SourceFile]:
        """Yield the plain files of an archive, their names after `prefix`."""
        with archive.path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        self._limit = min(self._left, max(SMALL_BYTES, archive.path.stat().st_size * MAX_RATIO))
        with _explained(archive.name):
            for name, content in _zip_files(archive.path) if is_zip else _tar_files(archive.path):
                plain = _plain_name(name)
                if plain is None or content is None:
                    self._skip(name[:200], "It is a link, or its path leads out of the archive.")
                elif not _is_clutter(plain):
                    yield SourceFile(prefix + plain, self._write(archive.name, content))

    def _write(self, archive: str, content: IO[bytes]) -> Path:
        self._count += 1
        _require_few(self._count)
        path = self._scratch / f"{self._count:06d}"
        with path.open("xb") as target:
            while chunk := content.read(COPY_BYTES):
                check_cancelled(self._cancelled)
                self._left, self._limit = self._left - len(chunk), self._limit - len(chunk)
                if self._limit < 0:
                    raise UploadTooLargeError(
                        f"{archive} unpacks to over {MAX_RATIO} times its size, or to over {self._max_bytes:,} bytes.",
                        "Import it in several parts, or raise HEARTMULA_MAX_IMPORT_BYTES.",
                    )
                target.write(chunk)
        return path


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say of which archive it is what is wrong with it."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the archive
            raise
        raise InvalidInputError(f"{name} cannot be unpacked: {error}.", "Pack it again.") from error
    except (NotImplementedError, ValueError) as error:
        raise InvalidInputError(f"{name} cannot be unpacked: {error}.", "Pack it as a plain .zip or .tar.") from error


def _zip_files(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with path.open("rb") as raw, zipfile.ZipFile(_BoundedReads(raw)) as archive:
        _require_few(len(archive.infolist()))
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            require_common_compression(entry, entry.filename[:200])
            is_link = (entry.external_attr >> 28) == 0o12
            with archive.open(entry) as content:
                yield _zip_name(entry), None if is_link else content


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry: macOS writes UTF-8 without the mark that says so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _tar_files(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with path.open("rb") as raw:
        head = raw.read(3)
        raw.seek(0)
        file: io.BufferedIOBase = raw
        if head.startswith(_PACKED):
            file = bz2.BZ2File(raw) if head == b"BZh" else gzip.GzipFile(fileobj=raw)
        with tarfile.open(fileobj=_BoundedReads(file), mode="r:") as archive:
            for number, entry in enumerate(archive, start=1):
                _require_few(number)
                if not entry.isdir():
                    is_plain = entry.isreg() and not entry.issparse()
                    yield entry.name, archive.extractfile(entry) if is_plain else None


def _plain_name(name: str) -> str | None:
    """The name of an archive's entry in NFC with slashes; None where it leads out of the archive."""
    parts = unicodedata.normalize("NFC", name.replace("\\", "/")).split("/")
    leads_out = ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name
    return None if leads_out else "/".join(part for part in parts if part not in ("", "."))


class _BoundedReads(io.BufferedIOBase):
    """A file of which no archive's own record takes much memory, whatever size it claims."""

    def __init__(self, file: io.BufferedIOBase):
        super().__init__()
        self._file = file

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset < 0:
            raise ValueError("its table of contents points outside it")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        at_most = MAX_READ_BYTES + 1
        content = self._file.read(at_most if size is None or size < 0 else min(size, at_most))
        if len(content) > MAX_READ_BYTES:
            raise ValueError("its table of contents is too large")
        return content
