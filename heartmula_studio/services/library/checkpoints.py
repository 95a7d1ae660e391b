"""Checkpoints: trained adapters and full models, and which of them songs are made with."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import ConflictError, StorageError
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.store.records import Checkpoint
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.active_engine import ActiveEngine

_log = logging.getLogger(__name__)


class CheckpointService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(self, store: Store, runtime: "Lazy[Runtime]", engine: "Lazy[ActiveEngine]"):
        self._store, self._runtime, self._engine = store, runtime, engine

    def get(self, id: str) -> Checkpoint:
        return self._with_activity(self._store.checkpoints.get(id))

    def activate(self, id: str, strength: float = 1.0) -> Checkpoint:
        """Make every song from the next one on in this style, of 0 to 2 times its strength.

        Raises CheckpointError where it does not fit the base, saying why.
        """
        self._engine.get().choose(id, strength)
        return self.get(id)

    def deactivate(self, id: str) -> Checkpoint:
        """Make songs with the base alone again. Raises ConflictError where another style is active, or none."""
        if not self.get(id).is_active:
            raise ConflictError("This checkpoint is not active.", "List the checkpoints to see which is.")
        self._store.checkpoints.set_active(None)
        return self.get(id)

    def find_active(self) -> tuple[str, float] | None:
        """Id and strength of the active one, for lists, which a damaged choice must not keep from being shown."""
        try:
            return self._store.checkpoints.active()
        except StorageError as error:
            _log.warning("Which style is active cannot be read: %s", error)
            return None

    def delete(self, id: str) -> None:
        """Raises ConflictError while it is active."""
        self._store.checkpoints.delete(id)

    def download(self, id: str) -> tuple[str, Iterator[bytes]]:
        """A file name, and the checkpoint as one zip file piece by piece."""
        return self._store.checkpoints.export(id)

    def import_archive(
        self, path: str | Path, name: str, styles: Sequence[str] = (), filename: str | None = None
    ) -> Checkpoint:
        """Take in a LoRA in PEFT's format, or a full checkpoint, from a zip file. Only safetensors are accepted.

        `filename` is what errors call it, its own name by default. Without `styles`, the archive's own are kept, as its
        losses, rights and recipe are.
        """
        from heartmula_studio.services.library.checkpoint_import import import_checkpoint

        path, base = Path(path), self._runtime.get().base
        return import_checkpoint(self._store, base, path, filename or path.name, name, tuple(styles))

    def _with_activity(self, checkpoint: Checkpoint) -> Checkpoint:
        active = self.find_active()
        strength = active[1] if active is not None and active[0] == checkpoint.id else None
        return dataclasses.replace(checkpoint, is_active=strength is not None, strength=strength)

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[Checkpoint]:
        """All checkpoints, oldest first."""
        return [self._with_activity(checkpoint) for checkpoint in self._store.checkpoints.list()]
