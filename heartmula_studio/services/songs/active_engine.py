"""The engine of one server, loaded when the first song is asked for, in the style each song is to be made in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from heartmula_studio.arch.device import free_memory
from heartmula_studio.codec.codec import Codec
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.song_styles import SongStyles, StylesAt
from heartmula_studio.store.records import Generation


class ActiveEngine:
    """Any thread may call any method."""

    def __init__(self, runtime: Lazy[Runtime], styles: SongStyles):
        self._runtime, self._styles = runtime, styles
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._loaded: Runtime | None = None

    @contextmanager
    def in_style_of(self, song: Generation) -> Iterator[Engine]:
        """Yield the engine in the style that a song was asked for in, loading what is missing; others wait.

        Raises CheckpointError, InvalidInputError and OutOfMemoryError. Where the engine turns out unable to make a song
        in the chosen style, in the block too, the choice is taken back, and the error says so.
        """
        with self._lock:
            engine = self._load()
            with self._styles.of(song) as styles:
                make_way(engine, styles)
                with self._styles.taken_back(song, styles):
                    put_on(engine, styles)
                    yield engine

    @contextmanager
    def codec_alone(self) -> Iterator[Codec]:
        """Yield the codec of the base of now, without loading the language model; others wait.

        Raises CheckpointError and OutOfMemoryError.
        """
        with self._lock:
            runtime = self._runtime.get()
            if self._engine is None or self._loaded is not runtime:
                yield Codec.load(replace(runtime.base, encoder=None), runtime.device)
                return
            with self._engine.codec_in_use() as codec:
                yield codec

    def let_go(self) -> None:
        """Free the engine's memory, once no song is made; the next one loads it again."""
        with self._lock:
            if self._engine is None:
                return
            self._engine = self._loaded = None
            free_memory()

    def _load(self) -> Engine:
        """The engine on the base of now; that of an earlier one goes first, so that both need not fit."""
        runtime = self._runtime.get()
        if self._engine is None or self._loaded is not runtime:
            self._engine = None
            self._engine, self._loaded = Engine.load(runtime.base_name, str(runtime.device)), runtime
        return self._engine


def make_way(engine: Engine, styles: StylesAt) -> None:
    """Take other styles off. What is wrong with the base then is not the fault of those that come."""
    worn = [active.style.folder.path for active in engine.active_styles]
    if not styles or worn and worn != [folder for folder, _ in styles]:
        engine.deactivate()


def put_on(engine: Engine, styles: StylesAt) -> None:
    """Have an engine sing in styles that nothing is in the way of. Raises as `Engine.activate_mix`."""
    if engine.active:
        engine.set_strengths([strength for _, strength in styles])
    elif styles:
        engine.activate_mix(styles)
