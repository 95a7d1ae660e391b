from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from heartmula_studio.services.devices import Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.local_engine import LocalEngine
from heartmula_studio.services.songs.making import SongMaker
from heartmula_studio.services.songs.queue import GenerationQueue
from tests.services.songs.made_up_engine import MadeUpEngine, no_codec
from tests.services.studio_folder import BUNDLED


@pytest.fixture
def engine():
    return MadeUpEngine()


@pytest.fixture
def serve(store, engine, serve_by):
    """serve() → a started queue, as each server has one."""

    def start(engine_in=lambda song: nullcontext(engine), idle_sec=600.0):
        active = SimpleNamespace(in_style_of=engine_in, codec_alone=no_codec, let_go=engine.let_go.set)
        return serve_by(LocalEngine(store, Devices(store), BUNDLED, Lazy(lambda: active)), idle_sec)

    return start


@pytest.fixture
def serve_by(store):
    """serve_by(song_engine) → a started queue."""
    queues = []

    def start(song_engine, idle_sec=600.0):
        queues.append(GenerationQueue(store, song_engine, SongMaker(store, BUNDLED, song_engine), idle_sec))
        queues[-1].open()
        queues[-1].recover()
        return queues[-1]

    yield start
    for queue in queues:
        queue.close()
