"""A store in a temporary folder, and songs for it: the store never listens, so any bytes will do."""

import pytest

from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.records import AudioFile, Checkpoint, Dataset
from heartmula_studio.store.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "data")


@pytest.fixture
def dataset(store) -> Dataset:
    return store.datasets.create_dataset("Mine", ["Pop"])


@pytest.fixture
def add_song(store, dataset):
    """Adds a song to `dataset`; without content of its own it is unlike any other."""
    count = iter(range(1_000_000))

    def add(name: str, content: bytes | None = None, **details) -> AudioFile:
        with store.datasets.receive(dataset.id, name) as incoming:
            incoming.write(b"song %d" % next(count) if content is None else content)
            return store.datasets.add_audio(dataset.id, incoming, TrackAudio(60.0, 48_000, 2), **details)

    return add


@pytest.fixture
def weights(tmp_path):
    """A folder as a LoRA run leaves it."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 3_000_000)
    (folder / "adapter_config.json").write_text('{"r": 8}')
    (folder / "meta.json").write_text('{"id": "of the run"}')
    return folder


@pytest.fixture
def checkpoint(store, weights) -> Checkpoint:
    return store.checkpoints.publish(weights, checkpoint_record("abc"))


def checkpoint_record(id: str, name: str = "Mine 1") -> Checkpoint:
    base = {"name": "nano", "fingerprint": "f00"}
    return Checkpoint(id, name, ("Pop",), "lora", base, "d1", "j1", 0, "2026-01-01T00:00:00.000000+00:00")
