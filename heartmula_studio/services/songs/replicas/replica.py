"""An engine on a node of the cluster: a deployment of Ray Serve has as many of these as it is told to."""

import asyncio
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from heartmula_studio.codec.control import Progress
from heartmula_studio.errors import CheckpointError, ClusterError, StudioError
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.receipt import codes_path, receipt_path
from heartmula_studio.generate.song_writer import GeneratedSong, Listener
from heartmula_studio.generate.sounding import redecode
from heartmula_studio.generate.takes import SongOutput
from heartmula_studio.services.songs.active_engine import make_way, put_on
from heartmula_studio.services.songs.replicas.orders import (
    ComposeOrder,
    DecodeOrder,
    Ended,
    Event,
    Made,
    Order,
    Progressed,
    Sounded,
    WantedFile,
)

if TYPE_CHECKING:
    from ray.actor import ActorHandle

ASK_SEC = 0.2
TELL_SEC = 0.25
Tell = Callable[[Event], None]


class Stops:
    """An actor beside the server, which replicas ask which songs of their orders are not wanted any more."""

    def __init__(self) -> None:
        self._stopped: dict[str, set[int]] = {}

    def add(self, order_id: str, numbers: set[int]) -> None:
        self._stopped.setdefault(order_id, set()).update(numbers)

    def of(self, order_id: str) -> set[int]:
        return self._stopped.get(order_id, set())

    def forget(self, order_id: str) -> None:
        self._stopped.pop(order_id, None)


class Stopped:
    """What a replica knows of the songs of its order that are not wanted: `numbers`, or all of them."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.all = False

    async def watch(self, order_id: str, stops: "ActorHandle") -> None:
        """Ask for as long as the order is made; without a server that could answer, nothing is wanted."""
        from ray.exceptions import RayError

        try:
            while True:
                self.numbers = await stops.of.remote(order_id)
                await asyncio.sleep(ASK_SEC)
        except RayError:
            self.all = True


class SongReplica:
    """Makes one order at a time, in a thread of its own. Its engine stays loaded, in the style of the last order."""

    def __init__(self, base_name: str, device: str):
        self._device, self._base_name = device, base_name
        self._engine: Engine | None = None
        self._thread = ThreadPoolExecutor(1, "engine")
        with suppress(StudioError):  # the first order tells of it
            self._load(base_name)

    async def make(self, order: Order, stops: "ActorHandle") -> AsyncIterator[Event]:
        """Yield what comes of an order, `Ended` last. Stops within moments once nobody reads on."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event] = asyncio.Queue()
        stopped = Stopped()
        watching = asyncio.create_task(stopped.watch(order.id, stops))

        def tell(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        making = loop.run_in_executor(self._thread, self.run, order, stopped, tell)
        try:
            while True:
                yield (event := await events.get())
                if isinstance(event, Ended):
                    return
        finally:
            stopped.all = True
            watching.cancel()
            await asyncio.wait([making])

    def run(self, order: Order, stopped: Stopped, tell: Tell) -> None:
        """Make an order, and tell of it; an error is the last that is told."""
        try:
            with tempfile.TemporaryDirectory(prefix="heartmula-songs-") as folder:
                if isinstance(order, ComposeOrder):
                    self._compose(order, stopped, tell, Path(folder))
                else:
                    self._decode(order, stopped, tell, Path(folder))
            tell(Ended())
        except StudioError as error:
            tell(Ended(error))
        except Exception as error:  # whatever it is, the server has to know
            tell(Ended(RuntimeError(f"{type(error).__name__}: {error}")))

    def _compose(self, order: ComposeOrder, stopped: Stopped, tell: Tell, folder: Path) -> None:
        engine = self._engine_in_style(order)
        outputs = [
            output_of(number, wanted, folder, stopped, tell) if wanted else None
            for number, wanted in enumerate(order.wanted)
        ]
        engine.make_takes(
            order.requests,
            outputs,
            now_and_then(tell, is_sound=False),
            lambda: stopped.all,
            now_and_then(tell, is_sound=True),
            order.decoding,
            lambda number, song: tell(packed(number, song)),
            order.kept,
        )

    def _decode(self, order: DecodeOrder, stopped: Stopped, tell: Tell, folder: Path) -> None:
        output = output_of(0, WantedFile(order.filename), folder, stopped, tell)
        progress = now_and_then(tell, is_sound=True)
        with self._loaded(order.base_name).codec_in_use() as codec, output.live() as listener:
            codes, receipt, settings = order.codes, order.receipt, order.decoding
            made = redecode(
                codec,
                codes,
                receipt,
                settings,
                output.path,
                progress,
                lambda: stopped.all or 0 in stopped.numbers,
                listener,
            )
        tell(packed(0, made))

    def _engine_in_style(self, order: ComposeOrder) -> Engine:
        for folder, _ in order.styles:
            if not folder.is_dir():
                raise ClusterError(
                    f"{platform.node()} does not see the style's folder {folder}.",
                    "The data folder must be one that the server and all nodes share, at the same path.",
                )
        engine = self._loaded(order.base_name)
        with base_errors():
            make_way(engine, order.styles)
        put_on(engine, order.styles)
        return engine

    def _loaded(self, base_name: str) -> Engine:
        return self._engine if self._engine and self._base_name == base_name else self._load(base_name)

    def _load(self, base_name: str) -> Engine:
        self._engine = None  # both need not fit
        with base_errors():
            self._engine, self._base_name = Engine.load(base_name, self._device), base_name
        return self._engine


@contextmanager
def base_errors() -> Iterator[None]:
    """Raise ClusterError where the base cannot be read here, which is not the fault of any style."""
    try:
        yield
    except CheckpointError as error:
        raise ClusterError(f"{platform.node()} cannot load the base. {error.message}", error.hint) from error


def output_of(number: int, wanted: WantedFile, folder: Path, stopped: Stopped, tell: Tell) -> SongOutput:
    """Return where a song of an order goes: a file in a folder that is its own, and whoever is told."""
    own = folder / str(number)
    own.mkdir()
    live = partial(listening, number, tell)
    return SongOutput(own / wanted.name, live, lambda: number in stopped.numbers, wanted.tried)


@contextmanager
def listening(number: int, tell: Tell) -> Iterator[Listener]:
    done = 0

    def hear(stretch: Tensor) -> None:
        nonlocal done
        tell(Sounded(number, done, stretch.cpu().numpy()))
        done += stretch.shape[1]

    yield hear


def now_and_then(tell: Tell, is_sound: bool) -> Progress:
    """Return what is told of progress and passes it on, a few times a second."""
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SEC:
            told = time.monotonic()
            tell(Progressed(done, total, is_sound))

    return progress


def packed(number: int, song: GeneratedSong) -> Made:
    paths = song.path, receipt_path(song.path), codes_path(song.path)
    return Made(number, {path.name: path.read_bytes() for path in paths}, song.is_audible)
