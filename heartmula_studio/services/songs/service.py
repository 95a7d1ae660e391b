"""Songs: asked for, made one after the other, and handed out in the format that is wanted."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import ConflictError, InvalidInputError, StudioError
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.queue import GenerationQueue
from heartmula_studio.store.records import (
    ACTIVE_STYLE,
    BASE_STYLE,
    MIX_STYLE,
    UNDER_WAY,
    Generation,
    StyleChoice,
)
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.active_engine import ActiveEngine


class SongService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(self, store: Store, devices: Devices, runtime: "Lazy[Runtime]", engine: "Lazy[ActiveEngine]"):
        self._store, self._engine = store, engine
        self._queue = GenerationQueue(store, devices, runtime, lambda song: engine.get().in_style_of(song))

    def open(self) -> None:
        """Make songs in the background from now on."""
        self._queue.open()

    def recover(self) -> None:
        """Put the songs of servers that are gone into their true state; those that waited are made here."""
        self._queue.recover()

    def close(self) -> None:
        """Stop the song that is being made; those that wait are made by the next server."""
        self._queue.close()

    def generate(
        self,
        request: SongRequest,
        format: str = "wav",
        style: str = ACTIVE_STYLE,
        strength: float | None = None,
        styles: Sequence[StyleChoice] = (),
    ) -> Generation:
        """Queue a song.

        style: "active" is what is active when its turn comes, "base" the base alone, else a checkpoint's id, which is
        then used for this song only, at `strength` (1 unless given). styles: several for this song only, whose changes
        add up; then without `style` and `strength`.
        Raises InvalidInputError, NotFoundError, and CheckpointError where a style does not fit the base.
        """
        if styles:
            require_alone(style, strength)
            style = MIX_STYLE
        self._engine.get().check(style, strength, styles)
        return self._queue.submit(request, format, style, strength, styles)

    def compare(
        self, checkpoint_id: str, request: SongRequest, format: str = "wav", strength: float | None = None
    ) -> tuple[Generation, Generation]:
        """Queue one song twice: made by the base alone, and in a style; both or none. Raises as `generate`."""
        self._store.checkpoints.folder(checkpoint_id)
        self._engine.get().check(checkpoint_id, strength)
        base = self._queue.submit(request, format, BASE_STYLE)
        try:
            return base, self._queue.submit(request, format, checkpoint_id, strength)
        except BaseException:
            with suppress(StudioError):
                self._queue.cancel(base.id)
            raise

    def get(self, id: str) -> Generation:
        return self._store.generations.get(id)

    def path(self, id: str, format: str | None = None) -> Path:
        """The finished song's file; in another format than it was made in, it is kept beside it from then on.

        Raises ConflictError while there is none, InvalidInputError for a format that is none, AudioError where the
        song's file is damaged, StorageError.
        """
        self._store.generations.require_completed(id)
        path = self._store.generations.song_path(id, format)
        if format is not None and not path.is_file():
            self._convert(id, path)
        return path

    def cancel(self, id: str) -> Generation:
        """Stop a song within moments. Raises NotFoundError, ConflictError for one that has ended, StorageError."""
        return self._queue.cancel(id)

    def delete(self, id: str) -> None:
        """Raises ConflictError while it is being made."""
        if self._store.generations.get(id).status in UNDER_WAY:
            raise ConflictError("The song is being made.", "Cancel it first.")
        self._store.generations.delete(id)

    def _convert(self, id: str, path: Path) -> None:
        from heartmula_studio.services.songs.conversion import convert

        with self._store.generations.locked(id):
            if not path.is_file():
                convert(self._store.generations.song_path(id), path)

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[Generation]:
        """All songs asked for, oldest first."""
        return self._store.generations.list()


def require_alone(style: str, strength: float | None) -> None:
    """Raise InvalidInputError where one style is asked for beside several."""
    if style != ACTIVE_STYLE or strength is not None:
        raise InvalidInputError(
            "The song has both style or strength, and styles.", "Give each style with its strength in styles alone."
        )
