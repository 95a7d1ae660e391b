"""The engine of one server, loaded when the first song is asked for, in the style that is active in the data folder.

The choice of the style is kept in the store, so it survives a restart and holds for every server on the folder; an
engine takes it over before each song.
"""

import threading

from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.full_weights import describe_base
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.generate.style import check_strength, check_style
from heartmula_studio.store.store import Store


class ActiveEngine:
    """Any thread may call any method."""

    def __init__(self, store: Store, runtime: Runtime):
        self._store, self._runtime = store, runtime
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._in_use: tuple[str, float] | None = None

    def choose(self, checkpoint_id: str, strength: float) -> None:
        """Make a checkpoint the style of every song from now on, once it is seen to fit the base.

        Raises NotFoundError, InvalidInputError, and CheckpointError where it is damaged or of another base.
        """
        style = check_style(self._store.checkpoints.folder(checkpoint_id), describe_base(self._runtime.base))
        check_strength(strength, style.method)
        self._store.checkpoints.set_active(checkpoint_id, strength)

    def get(self) -> Engine:
        """Return the engine in the active style, loading what is missing.

        Raises CheckpointError, InvalidInputError and OutOfMemoryError; a style that cannot be used stays chosen, so
        that no song is made in another than the one shown.
        """
        with self._lock:
            if self._engine is None:
                self._engine = Engine.load(self._runtime.base_name, str(self._runtime.device))
            self._put_on(self._engine, self._store.checkpoints.active())
            return self._engine

    def _put_on(self, engine: Engine, wanted: tuple[str, float] | None) -> None:
        if wanted == self._in_use:
            return
        if wanted is None:
            engine.deactivate()
        elif self._in_use and wanted[0] == self._in_use[0]:
            engine.set_strength(wanted[1])
        else:
            self._in_use = None
            engine.activate(self._store.checkpoints.folder(wanted[0]), wanted[1])
        self._in_use = wanted
