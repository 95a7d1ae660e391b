"""The engine in this process, on the server's device: one batch of songs at a time."""

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from heartmula_studio.services.devices import QUEUE_LOCK, Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.song_engine import Composition, Redecoding
from heartmula_studio.store.records import BASE_STYLE, Generation, utc_now
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.active_engine import ActiveEngine


class LocalEngine:
    """A `SongEngine`. It shares its device with trainings, and with other servers on the folder."""

    num_batches = 1

    def __init__(self, store: Store, devices: Devices, runtime: "Lazy[Runtime]", engine: "Lazy[ActiveEngine]"):
        self._store, self._devices, self._runtime, self._engine = store, devices, runtime, engine
        self._loaded_base = ""

    @property
    def is_loaded(self) -> bool:
        return bool(self._loaded_base)

    def enter(self, lease: ExitStack, since: str) -> str | None:
        runtime = self._runtime.get()
        device = str(runtime.device)
        with self._store.lock(QUEUE_LOCK):  # a job that starts in this moment would see the device as free
            is_loaded = self._loaded_base == runtime.base_name
            reason = self._devices.may_generate(device, runtime.base_name, since, is_loaded)
            if reason is None:
                lease.enter_context(self._devices.generating(device))
            return reason

    def wanted(self, since: str) -> AbstractContextManager[None]:
        return self._devices.wanted(str(self._runtime.get().device), since)

    def load(self) -> None:
        with self._engine.get().in_style_of(Generation("", {}, "wav", utc_now(), style=BASE_STYLE)):
            self._loaded_base = self._runtime.get().base_name

    def compose(self, song: Generation, work: Composition) -> None:
        with self._engine.get().in_style_of(song) as engine:
            self._loaded_base = self._runtime.get().base_name
            engine.make_takes(
                work.requests,
                work.outputs,
                work.progress,
                work.cancelled,
                work.decode_progress,
                work.decoding,
                work.finished,
                work.kept,
            )

    def decode(self, work: Redecoding) -> None:
        from heartmula_studio.generate.sounding import redecode

        with self._engine.get().codec_alone() as codec, work.output.live() as listener:
            path = work.output.path
            made = redecode(
                codec, work.codes, work.receipt, work.decoding, path, work.progress, work.cancelled, listener
            )
        work.finished(0, made)

    def let_go(self) -> None:
        self._loaded_base = ""
        if engine := self._engine.made:
            engine.let_go()

    def close(self) -> None:
        """Nothing is held that does not end with the process."""
