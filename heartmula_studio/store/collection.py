"""A kind of record on disk: one folder each, with a JSON manifest and whatever files belong to it.

Readers take no lock: what they see was written whole. Writers hold the record's lock, which other processes respect.
"""

import logging
import os
import re
import secrets
import shutil
import string
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from heartmula_studio.errors import ConflictError, NotFoundError, StorageError
from heartmula_studio.files.atomic import TEMPORARY_PREFIX, recover_folder, replaced_file, replaced_folder
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.kept_file import Stamp, is_settled, stamp_of
from heartmula_studio.files.locks import Locks
from heartmula_studio.files.memory_only import leave_memory
from heartmula_studio.files.moving import move


class ListedRecord(Protocol):
    """A record that is one of many."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> str: ...

    def to_json(self) -> bytes: ...

    @classmethod
    def read(cls, path: Path) -> Self: ...


R = TypeVar("R", bound=ListedRecord)

ID_LETTERS = string.ascii_lowercase + string.digits
ID_LENGTH = 12
OLD_SEC = 3600.0
RESCAN_SEC = 2.0  # until a list tells what was changed by something else than `Collection`

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LEFTOVER = re.compile(re.escape(TEMPORARY_PREFIX) + rf"({_ID.pattern})-[a-z0-9_]{{8}}(-old)?")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan(Generic[R]):
    """All records there were when the folder had a stamp, None for one that may come again; `at`: `time.monotonic`."""

    stamp: Stamp | None
    at: float
    records: tuple[R, ...]


class Collection(Generic[R]):
    """The records of one kind, under `root`. Any thread may call any method.

    Records are shared between callers, so they are changed through `update` only, the dicts inside them too.
    """

    kind: ClassVar[str]  # plural, the folder's name
    noun: ClassVar[str]
    record_type: type[R]
    manifest: ClassVar[str] = "manifest.json"
    is_read_as_written: ClassVar[bool] = False  # no field of a record comes back from JSON as another type

    def __init__(self, root: Path, locks: Locks):
        self.root = root
        self._locks = locks
        self._cache: dict[str, tuple[Stamp, R | StorageError]] = {}
        self._scan: Scan[R] | None = None
        self._looking = threading.Lock()
        with disk_explained(root):
            root.mkdir(parents=True, exist_ok=True)

    def new_id(self) -> str:
        """A short random id that is safe in URLs and file names."""
        return "".join(secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH))

    def folder(self, id: str) -> Path:
        """The folder of a record. Raises NotFoundError for an id that is none, or unknown."""
        if not isinstance(id, str) or not _ID.fullmatch(id) or not os.path.lexists(self.root / id / self.manifest):
            raise self._unknown(id)
        return self.root / id

    def get(self, id: str) -> R:
        """Raises NotFoundError, or StorageError where the record is damaged."""
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise self._unknown(id)
        return self._read(id)

    def create(self, record: R, fill: Callable[[Path], None] | None = None) -> R:
        """Store a new record; its folder appears whole, with the files that `fill` writes into the folder given to it.

        Raises ConflictError where the id is taken, StorageError where the disk refuses.
        """
        assert _ID.fullmatch(record.id), record.id
        folder = self.root / record.id
        with self._locks.hold(self._lock_name(record.id)):
            if folder.exists():
                raise ConflictError(f"There is a {self.noun} {record.id!r} already.", "Use another id.")
            with disk_explained(folder), replaced_folder(folder) as temporary:
                if fill:
                    fill(temporary)
                (temporary / self.manifest).write_bytes(record.to_json())
        return record

    def update(self, id: str, change: Callable[[R], R]) -> R:
        """Replace a record by what `change` makes of it; nobody else changes it meanwhile, in any process.

        Raises NotFoundError and StorageError; the record is then as it was.
        """
        with self.locked(id):
            self.folder(id)
            record = self._read(id)
            changed = change(record)
            assert changed.id == id, changed.id
            if changed != record:
                changed = self._replace(record, changed)
                self._note_change()
        return changed

    def _replace(self, record: R, changed: R) -> R:
        """Write what a record has become, under its lock, and return that."""
        path = self.root / record.id / self.manifest
        with disk_explained(path.parent), replaced_file(path) as temporary:
            temporary.write_bytes(changed.to_json())
            stamp = stamp_of(os.stat(temporary))  # it keeps it under its final name
        if self.is_read_as_written:
            self._cache[record.id] = stamp, changed
        return changed

    def delete(self, id: str) -> None:
        """Remove a record with its files, a damaged one too. Raises NotFoundError and StorageError.

        It is unlisted at once; files that cannot be removed now are removed by `recover`.
        """
        with self.locked(id):
            folder = self.folder(id)
            doomed = folder.with_name(f"{TEMPORARY_PREFIX}{id}-{secrets.token_hex(4)}")
            with disk_explained(folder):
                move(folder, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            self._locks.forget(self._lock_name(id))

    def locked(self, id: str) -> AbstractContextManager[None]:
        """Keep all others from changing a record; the same thread may change it inside.

        It may be gone by the time the lock is held. Raises NotFoundError, and ConflictError as `Locks.hold`.
        """
        self.folder(id)  # an unknown id gets no lock file
        return self._locks.hold(self._lock_name(id))

    def recover(self) -> None:
        """Remove what killed processes left behind; what a living one is writing stays."""
        for path in self.root.glob(f"{TEMPORARY_PREFIX}*"):
            match = _LEFTOVER.fullmatch(path.name)
            if match:
                self._recover_record(match[1])
            else:
                remove_if_old(path)

    def _recover_record(self, id: str) -> None:
        try:
            with self._locks.attempt(self._lock_name(id)) as is_free:
                if is_free:
                    recover_folder(self.root / id)
        except (OSError, StorageError) as error:
            _log.warning("Leftovers of %s %s cannot be removed: %s", self.noun, id, error)

    def _lock_name(self, id: str) -> str:
        return f"{self.kind}-{id}"

    def _unknown(self, id: object) -> NotFoundError:
        return NotFoundError(
            f"There is no {self.noun} {str(id)[:80]!r}.", f"List the {self.kind} for the ids there are."
        )

    def _read(self, id: str) -> R:
        """Read a record, or take what came of it from memory where its file is the one read before."""
        path = os.path.join(self.root, id, self.manifest)  # a Path would take longer than the rest
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._unknown(id) from error
        except OSError as error:
            raise StorageError(
                f"{path} cannot be read: {error.strerror}.", "Check the disk and its permissions."
            ) from error
        stamp = stamp_of(status)
        known = self._cache.get(id)
        if known is None or known[0] != stamp:
            leave_memory()
            known = (stamp, self._read_or_refusal(self.root / id))
            if is_settled(status):
                self._cache[id] = known
        if isinstance(known[1], StorageError):
            raise StorageError(known[1].message, known[1].hint)
        return known[1]

    def _read_or_refusal(self, folder: Path) -> R | StorageError:
        """A damaged record may be large, and every list comes by it."""
        try:
            return self._read_file(folder)
        except StorageError as error:
            return error

    def _read_file(self, folder: Path) -> R:
        path = folder / self.manifest
        try:
            record = self.record_type.read(path)
        except FileNotFoundError as error:
            raise self._unknown(folder.name) from error
        if record.id != folder.name:
            raise StorageError(f"{path} is of {record.id!r}.", "Give the folder the name that its record has.")
        return record

    def _listed(self, id: str) -> R | None:
        try:
            return self._read(id)
        except (NotFoundError, StorageError):
            return None

    def records(self) -> tuple[R, ...]:
        """All records, oldest first; damaged ones are left out. The same tuple for as long as they stay the same.

        It tells at once what any process changed through a `Collection`, all else within two seconds. Raises
        StorageError.
        """
        asked = time.monotonic()
        with disk_explained(self.root):
            status, scan = os.stat(self.root), self._scan
        is_same = scan is not None and scan.stamp == stamp_of(status)
        # Where it has become old, one thread looks, and the others do not wait for it.
        if scan and is_same and (asked - scan.at < RESCAN_SEC or self._looking.locked()):
            return scan.records
        leave_memory()
        with self._looking:
            scan = self._scan
            return scan.records if scan and scan.at >= asked else self._look_through(scan.records if scan else ())

    def _look_through(self, before: tuple[R, ...]) -> tuple[R, ...]:
        """Read what has changed since `before`."""
        at = time.monotonic()
        with disk_explained(self.root):
            status = os.stat(self.root)
            ids = [name for name in os.listdir(self.root) if _ID.fullmatch(name)]
        found = [record for id in ids if (record := self._listed(id))]
        for id in set(self._cache) - set(ids):
            self._cache.pop(id, None)
        records = tuple(sorted(found, key=lambda record: (record.created_at, record.id)))
        records = before if records == before else records
        self._scan = Scan(stamp_of(status) if is_settled(status) else None, at, records)
        return records

    def _note_change(self) -> None:
        """Give the folder a new time stamp, as it has after all changes but those of a record in it."""
        with suppress(OSError):  # one that it cannot be given to is looked through all the same, every two seconds
            os.utime(self.root)

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[R]:
        """All records, oldest first; damaged ones are left out, and explained by `get`."""
        return [*self.records()]


def remove_if_old(path: Path) -> None:
    """Remove a temporary whose writer must be gone: it has not been touched for an hour."""
    try:
        if time.time() - path.stat().st_mtime < OLD_SEC:
            return
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("%s cannot be removed: %s", path, error)
