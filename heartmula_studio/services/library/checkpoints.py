"""Checkpoints: trained adapters and full models, and which of them songs are made with."""

import builtins
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio.errors import ConflictError, InvalidInputError, StorageError
from heartmula_studio.generate.merge_settings import MergeSettings
from heartmula_studio.services.derived import Derived
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.store.archives import offered_styles
from heartmula_studio.store.records import Checkpoint, StyleChoice
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.song_styles import SongStyles

STRENGTHS = ("strength", "attention_strength", "mlp_strength")
_log = logging.getLogger(__name__)


class CheckpointService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(self, store: Store, runtime: "Lazy[Runtime]", styles: "Lazy[SongStyles]"):
        self._store, self._runtime, self._styles = store, runtime, styles
        self._records = Derived(with_activity)

    def get(self, id: str) -> Checkpoint:
        [checkpoint] = with_activity([self._store.checkpoints.get(id)], self.find_active_styles())
        return checkpoint

    def activate(self, id: str, strength: float = 1.0, **parts: float | None) -> Checkpoint:
        """Make every song from the next one on in this style alone, of 0 to 2 times its strength.

        parts: `attention_strength` and `mlp_strength`, of these layers apart.
        Raises CheckpointError where it does not fit the base, saying why.
        """
        return self.activate_mix([StyleChoice(id, strength, **parts)])[0]

    def activate_mix(self, styles: Sequence[StyleChoice]) -> "builtins.list[Checkpoint]":
        """Make every song from the next one on in several styles at once, whose changes add up.

        Raises InvalidInputError for none, or a full fine-tune among several; and as `activate`.
        """
        if not styles:
            raise InvalidInputError("No style was given.", "Name one or more, or deactivate those that are active.")
        self._styles.get().choose(styles)
        return [self.get(style.id) for style in styles]

    def deactivate(self, id: str) -> Checkpoint:
        """Take a style off: songs are made with the base alone, or with the others of a mix.

        Raises ConflictError where it is not active.
        """
        self.get(id)
        if not self._store.checkpoints.take_out(id):
            raise ConflictError("This checkpoint is not active.", "List the checkpoints to see which is.")
        return self.get(id)

    def find_active(self) -> tuple[str, float] | None:
        """Id and strength of the active one, the first of a mix. Says nothing of a damaged choice."""
        return next(((style.id, style.strength) for style in self.find_active_styles()), None)

    def find_active_styles(self) -> tuple[StyleChoice, ...]:
        """The active styles, for lists, which a damaged choice must not keep from being shown."""
        try:
            return self._store.checkpoints.active_styles()
        except StorageError as error:
            _log.warning("Which style is active cannot be read: %s", error)
            return ()

    def delete(self, id: str) -> None:
        """Raises ConflictError while it is active."""
        self._store.checkpoints.delete(id)

    def download(self, id: str, format: str = "peft") -> tuple[str, Iterator[bytes]]:
        """A file name, and the style as one file in a format of `STYLE_FORMATS`, piece by piece.

        Raises InvalidInputError for another format, CheckpointError for a style that cannot be written in it.
        """
        if format == "peft":
            return self._store.checkpoints.export(id)
        from heartmula_studio.services.library.checkpoint_export import export_stream

        return export_stream(self._store, self._runtime.get().base, id, format)

    def export_to(self, id: str, format: str, path: Path) -> None:
        """Write a style to a new file, or for `peft` and `merged` a new folder. Raises as `download`, ConflictError."""
        from heartmula_studio.services.library.checkpoint_export import export_to_path

        export_to_path(self._store, self._runtime.get().base, id, format, path)

    def import_archive(
        self,
        path: str | Path,
        name: str,
        styles: Sequence[str] = (),
        filename: str | None = None,
        which: str | None = None,
        alpha: float | None = None,
    ) -> Checkpoint:
        """Take in an adapter of any known format, or a full checkpoint: a zip, one safetensors file, or a folder here.

        `filename` is what errors call it, its own name by default. Without `styles`, the archive's own are kept, as its
        losses, rights and recipe are. which: the one of several, see `offered`; alpha: of an adapter that tells none.
        Raises as `checkpoint_import.import_checkpoint`.
        """
        from heartmula_studio.services.library.checkpoint_import import ImportRequest, import_checkpoint

        path, base = Path(path), self._runtime.get().base
        wanted = ImportRequest(name, tuple(styles), which or None, alpha)
        return import_checkpoint(self._store, base, path, filename or path.name, wanted)

    def merge(
        self, name: str, choices: Sequence[StyleChoice], styles: Sequence[str] = (), **settings: Any
    ) -> Checkpoint:
        """Make a new LoRA style of two or more, each with its strength; these stay as they are.

        settings: of `merge_settings.MERGE`, which name the combination. Without `styles`, it has its parents'.
        Raises as `checkpoint_merge.merge_checkpoints`.
        """
        from heartmula_studio.services.library.checkpoint_merge import merge_checkpoints

        return merge_checkpoints(
            self._store, self._runtime.get().base, name, choices, MergeSettings(**settings), styles
        )

    def provenance(self, id: str) -> "dict[str, Any]":
        """SHA-256 of base and adapter, and the training set's fingerprint; written once, when it is first asked for.

        Raises NotFoundError, CheckpointError, StorageError.
        """
        from heartmula_studio.services.library.style_provenance import style_provenance

        return style_provenance(self._store, self._runtime.get().base, id)

    def offered(self, path: str | Path) -> "list[str]":
        """The styles in a file or folder by their names in it, of which `import_archive` takes one."""
        return [style.name for style in offered_styles(Path(path))]

    def records(self) -> tuple[Checkpoint, ...]:
        """All checkpoints, oldest first; the same tuple for as long as nothing changes. Raises StorageError."""
        return self._records.of(self._store.checkpoints.records(), self.find_active_styles())

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[Checkpoint]:
        """All checkpoints, oldest first."""
        return [*self.records()]


def with_activity(checkpoints: Sequence[Checkpoint], active: Sequence[StyleChoice]) -> tuple[Checkpoint, ...]:
    """Say of each checkpoint whether it is active, and how strongly."""
    strengths = {
        choice.id: {name: getattr(choice, name) for name in STRENGTHS} | {"is_active": True} for choice in active
    }
    return tuple(dataclasses.replace(one, **strengths[one.id]) if one.id in strengths else one for one in checkpoints)
