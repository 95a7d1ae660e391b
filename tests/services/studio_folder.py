"""A data folder with songs, and waiting for what workers do."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from heartmula_studio.codec.audio_file import probe
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.events import StepEvent, read_events
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.local_executor import LocalExecutor
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.settings import Settings
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.records import Dataset, Job
from heartmula_studio.store.store import Store
from tests.recordings import SONGS

BUNDLED = Lazy(
    lambda: Runtime.of(
        Settings.load({"HEARTMULA_PREVIEW_SONGS": "0", "HEARTMULA_MAX_TRACK_VERSIONS": "1"}), "nano", "cpu"
    )
)
CONFIG = TrainConfig(
    epochs=1,
    max_steps=14,
    learning_rate=1e-3,
    lora=LoraSettings(rank=2),
    max_window_sec=2.0,
    state_every_steps=1,
    preview_songs=0,
)
TIMEOUT_SEC = 400.0
ENDED = ("completed", "failed", "cancelled", "interrupted")


def add_song(store: Store, dataset: Dataset, path: Path, name: str | None = None, is_checked: bool = True) -> None:
    info = probe(path) if is_checked else None
    sound = TrackAudio(info.duration_sec, info.sample_rate_hz, info.channels) if info else TrackAudio(2.0, 44100, 2)
    with store.datasets.receive(dataset.id, name or path.name) as incoming:
        incoming.write(path.read_bytes())
        store.datasets.add_audio(dataset.id, incoming, sound, "", (), "own")


def song_dataset(store: Store, songs: Sequence[Path] = SONGS[:5]) -> Dataset:
    dataset = store.datasets.create_dataset("Arcade", ("electronic", "arcade"))
    for path in songs:
        add_song(store, dataset, path)
    return store.datasets.get(dataset.id)


def new_queue(store: Store) -> JobQueue:
    return JobQueue(store, BUNDLED, LocalExecutor(Devices(store)), None, poll_sec=0.1)


def submit(queue: JobQueue, dataset: Dataset, **changes) -> Job:
    return queue.submit(dataset, dataclasses.replace(CONFIG, **changes), "cpu", "nano")


def folder_of(store: Store, job: Job) -> JobFolder:
    return JobFolder(store.jobs.folder(job.id))


def losses(store: Store, job: Job) -> list[float]:
    return [event.loss for event in read_events(folder_of(store, job).metrics) if isinstance(event, StepEvent)]


def run_until(queue: JobQueue, condition: Callable[[], bool]) -> None:
    """Look after the jobs until something is so."""
    deadline = time.monotonic() + TIMEOUT_SEC
    while not condition():
        assert time.monotonic() < deadline, [(job.status, job.message) for job in queue.list()]
        queue.tick()
        time.sleep(0.1)


def run_to_the_end(queue: JobQueue, job: Job) -> Job:
    run_until(queue, lambda: queue.get(job.id).status in ENDED)
    return queue.get(job.id)
