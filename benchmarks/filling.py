"""A data folder with much in it, written by the store itself."""

import json
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.store import Store
from heartmula_studio.store.datasets import AUDIO, PROCESSED
from heartmula_studio.store.records import AudioFile, Checkpoint, Dataset, Generation, utc_now

SONGS_EACH = 5
LYRICS = "[verse]\nThe sun creeps in across the floor\n[chorus]\nAnother morning, nothing more\n" * 4
SMALL_KINDS = 20  # checkpoints and songs made
FILE_BYTES = 2**20


@dataclass(frozen=True)
class Filled:
    """The ids of what was written."""

    datasets: tuple[str, ...]
    jobs: tuple[str, ...]
    checkpoints: tuple[str, ...]
    generations: tuple[str, ...]


@dataclass(frozen=True)
class Amounts:
    datasets: int
    jobs: int
    styles: int


def fill(data_dir: Path, amounts: Amounts, like_job: str) -> Filled:
    """Add datasets of five songs, finished jobs (copies of the job `like_job`), and 20 checkpoints and songs made."""
    store = Store(data_dir)
    for number in range(amounts.styles):
        store.styles.add(f"style {number}")
    return Filled(
        tuple(add_dataset(store, number) for number in range(amounts.datasets)),
        tuple(add_job(store, like_job) for _ in range(amounts.jobs)),
        tuple(add_checkpoint(store) for _ in range(SMALL_KINDS)),
        tuple(add_generation(store) for _ in range(SMALL_KINDS)),
    )


def add_dataset(store: Store, number: int = 0) -> str:
    """Songs are listed only, without their files: nobody plays or trains on these."""
    songs = tuple(song(f"song {i}.ogg") for i in range(SONGS_EACH))
    record = Dataset(
        store.datasets.new_id(), f"Dataset {number}", ("Pop", "Electronic"), utc_now(), "ready", audio_files=songs
    )
    return store.datasets.create(record, make_folders).id


def song(filename: str) -> AudioFile:
    digest = uuid.uuid4().hex * 2
    return AudioFile(filename, LYRICS, ("piano", "calm"), "own", 180.0, 44100, 2, 4_000_000, digest, utc_now())


def make_folders(folder: Path) -> None:
    (folder / AUDIO).mkdir()
    (folder / PROCESSED).mkdir()


def add_job(store: Store, like_job: str) -> str:
    ended = {"status": "completed", "phase": None, "progress": 100.0, "worker": None, "finished_at": utc_now()}
    record = replace(store.jobs.get(like_job), id=store.jobs.new_id(), created_at=utc_now(), **ended)
    return store.jobs.create(record).id


def add_checkpoint(store: Store) -> str:
    with store.scratch() as folder:
        (folder / "adapter_model.safetensors").write_bytes(os.urandom(FILE_BYTES))
        (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
        record = Checkpoint(store.checkpoints.new_id(), "Mine", ("Pop",), "lora", {}, None, None, 0, utc_now())
        return store.checkpoints.publish(folder, record).id


def add_generation(store: Store) -> str:
    record = Generation(store.generations.new_id(), {"tags": "piano", "lyrics": LYRICS}, "wav", utc_now(), "completed")
    return store.generations.create(record, lambda folder: write_song(folder / "song.wav")).id


def write_song(path: Path) -> None:
    path.write_bytes(b"RIFF" + bytes(FILE_BYTES))
