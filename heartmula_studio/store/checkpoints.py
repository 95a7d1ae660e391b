"""Trained styles: weights and how they came about, and which of them was chosen."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.errors import CheckpointMissingError, ConflictError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.kept_file import KeptFile
from heartmula_studio.files.locks import Locks
from heartmula_studio.store.archives import zipped
from heartmula_studio.store.collection import Collection, remove_if_old
from heartmula_studio.store.field_types import StoredStrength
from heartmula_studio.store.names import safe_filename, split_suffix
from heartmula_studio.store.record import Record
from heartmula_studio.store.records import Checkpoint, StyleChoice
from heartmula_studio.store.style_files import META, belongs, method_of

CHOICE = "active-checkpoint"


@dataclass(frozen=True)
class ActiveChoice(Record):
    """The styles that songs are to be made in. `id` and `strength` are the first one's; an earlier release knew one."""

    id: str | None
    strength: StoredStrength
    styles: tuple[StyleChoice, ...] = ()


class Checkpoints(Collection[Checkpoint]):
    """checkpoints/{id}/meta.json with the weights beside it, and checkpoints/active.json."""

    kind = "checkpoints"
    noun = "checkpoint"
    record_type = Checkpoint
    manifest = META

    def __init__(self, root: Path, locks: Locks):
        super().__init__(root, locks)
        self._choice = KeptFile(root / "active.json", ActiveChoice.read)

    def publish(self, folder: Path, record: Checkpoint) -> Checkpoint:
        """List the weights in a finished folder, which keeps them, under `record`; once for each id.

        Its size is counted here. Raises CheckpointMissingError where the folder holds none, StorageError.
        """
        if (self.root / record.id).exists():
            return self.get(record.id)
        try:
            return self.create(_measured(folder, record), lambda target: _share_weights(folder, target))
        except ConflictError:  # another process was quicker
            return self.get(record.id)

    def export(self, id: str) -> tuple[str, Iterator[bytes]]:
        """A file name after the style, and the zip of that name piece by piece: one folder with all that is needed.

        Raises NotFoundError and StorageError; the latter also while it is read.
        """
        folder, record = self.folder(id), self.get(id)
        weights = sorted(path for path in folder.iterdir() if belongs(path.name, record.method))
        filename = safe_filename(record.name.replace("/", "-").replace("\\", "-") + ".zip")
        return filename, zipped([folder / META, *weights], split_suffix(filename)[0])

    def copy_to(self, id: str, folder: Path) -> None:
        """Write a checkpoint's weights and record to a new folder, linked where that is possible.

        Raises NotFoundError, CheckpointMissingError where it holds no weights, StorageError.
        """
        source = self.folder(id)
        with disk_explained(folder):
            folder.mkdir()
            _share_weights(source, folder)
            shutil.copyfile(source / META, folder / META)

    def write_copy(self, id: str, target: Path) -> None:
        """Copy a checkpoint's files into a folder of somebody else's. Raises NotFoundError, StorageError."""
        folder, record = self.folder(id), self.get(id)
        for path in folder.iterdir():
            if path.name == META or belongs(path.name, record.method):
                with disk_explained(path):
                    shutil.copyfile(path, target / path.name)

    def set_active(self, id: str | None, strength: float = 1.0) -> None:
        """Remember one style for the next start; None is the base. Raises NotFoundError and StorageError."""
        self.set_active_styles([] if id is None else [StyleChoice(id, strength)])

    def set_active_styles(self, styles: Sequence[StyleChoice]) -> None:
        """Remember a mix of styles for the next start; none is the base. Raises NotFoundError and StorageError."""
        path = self.root / "active.json"
        with self._locks.hold(CHOICE):
            for style in styles:
                self.folder(style.id)
            first = styles[0] if styles else None
            choice = ActiveChoice(first.id if first else None, first.strength if first else 1.0, tuple(styles))
            with disk_explained(path), replaced_file(path) as temporary:
                temporary.write_bytes(choice.to_json())

    def take_out(self, id: str) -> bool:
        """Make songs without this style, and with the others of a mix; return whether it was active.

        Raises as `set_active_styles`.
        """
        with self._locks.hold(CHOICE):
            active = self.active_styles()
            left = [style for style in active if style.id != id]
            if len(left) < len(active):
                self.set_active_styles(left)
            return len(left) < len(active)

    def withdraw(self, id: str) -> bool:
        """Choose the base if this style is among the chosen ones, and return whether it was. Raises StorageError."""
        with self._locks.hold(CHOICE):
            is_chosen = any(style.id == id for style in self.active_styles())
            if is_chosen:
                self.set_active(None)
            return is_chosen

    def active(self) -> tuple[str, float] | None:
        """The first chosen style and its strength; None for the base. Raises as `active_styles`."""
        return next(((style.id, style.strength) for style in self.active_styles()), None)

    def active_styles(self) -> tuple[StyleChoice, ...]:
        """The chosen styles that are there; none for the base. Raises StorageError for a damaged file.

        A song must not be made in another style than the one chosen, so nothing is assumed then.
        """
        try:
            choice = self._choice.get()
        except FileNotFoundError:
            return ()
        first = () if choice.id is None else (StyleChoice(choice.id, choice.strength),)
        return tuple(style for style in choice.styles or first if os.path.isfile(self.root / style.id / META))

    def delete(self, id: str) -> None:
        """As any record. Raises ConflictError for an active one, too."""
        with self._locks.hold(CHOICE):
            if any(style.id == id for style in self.active_styles()):
                raise ConflictError(f"The checkpoint {id!r} is active.", "Deactivate it first.")
            super().delete(id)

    def recover(self) -> None:
        super().recover()
        for path in self.root.glob("[!.]*/.tmp-*"):
            remove_if_old(path)


def _measured(folder: Path, record: Checkpoint) -> Checkpoint:
    return replace(record, size_bytes=sum(path.stat().st_size for path in _weights(folder)))


def _weights(folder: Path) -> list[Path]:
    """The files of a checkpoint in a folder. Raises CheckpointMissingError."""
    files = [path for path in folder.glob("*") if path.is_file() and not path.is_symlink()]
    method = method_of([path.name for path in files])
    if method is None:
        raise CheckpointMissingError(f"{folder} holds no checkpoint.", "Train again, or give another folder.")
    return sorted(path for path in files if belongs(path.name, method))


def _share_weights(folder: Path, target: Path) -> None:
    """Link the files, which are never changed in place, into another folder; copy them where that cannot be."""
    for path in _weights(folder):
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)
