"""Device leases: training and songs share a device if both fit; else whoever comes later waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from heartmula_studio.device_name import device_key, is_gpu
from heartmula_studio.errors import ConflictError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.file_lock import is_locked, try_lock
from heartmula_studio.finetune.events import StepEvent, last_event
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.records import Job
from heartmula_studio.store.store import Store

GB = 10**9
QUEUE_LOCK = "queue"


class Devices:
    """The use of devices by all servers of one data folder. Any thread may call any method."""

    def __init__(self, store: Store):
        self._store = store

    def may_train(self, device: str, config: dict[str, Any], job_dir: Path, since: str) -> str | None:
        """None where a job queued at `since`, in UTC, can start now, else what it waits for, in words.

        It waits only for a song that is being made, or has waited for longer, and only if both do not fit.
        """
        is_busy = is_locked(self._path("song", device))
        if not is_busy and not self._is_wanted(device, since):
            return None
        needed, free = training_need(config, job_dir, device), free_bytes(device)
        if needed <= free:
            return None
        song = "a song that is being made" if is_busy else "a song that was asked for earlier"
        return f"Waits for {song} on {device}: {shortage('training', needed, free)}"

    def may_generate(self, device: str, base_name: str, since: str, is_loaded: bool = False) -> str | None:
        """None where a song can be made now, else what it waits for, in words.

        since: when it was asked for, in UTC. is_loaded: whether the engine is in memory already.
        """
        if is_locked(self._path("song", device)):
            return f"Waits for another song that is being made, or listened to, on {device}."
        rival = self._rival(device, since)
        if rival is None:
            return None
        needed = song_need(base_name, device, is_loaded)
        free = free_bytes(device) - self._growth(rival)
        if needed <= free:
            return None
        return f"Waits for the training of {rival.dataset_name} on {device}: {shortage('a song', needed, free)}"

    @contextmanager
    def generating(self, device: str) -> Iterator[None]:
        """Mark the device as used for a song. Raises ConflictError where another one is being made on it."""
        with self._marked("song", device) as mark:
            if mark is None:
                raise ConflictError(f"Another song is being made on {device}.", "Wait until it is done.")
            yield

    @contextmanager
    def wanted(self, device: str, since: str) -> Iterator[None]:
        """Mark that a song asked for at `since` waits, so that trainings queued later let it go first."""
        with self._marked("waiting", device) as mark:
            if mark:
                with replaced_file(self._since_path(device)) as temporary:
                    temporary.write_text(since, encoding="utf-8")
            yield

    def _is_wanted(self, device: str, since: str) -> bool:
        if not is_locked(self._path("waiting", device)):
            return False
        try:
            return self._since_path(device).read_text(encoding="utf-8") <= since
        except FileNotFoundError:  # it has the lock, and is about to say since when
            return False

    @contextmanager
    def _marked(self, use: str, device: str) -> Iterator[BinaryIO | None]:
        path = self._path(use, device)
        with disk_explained(path):
            mark = try_lock(path)
        try:
            yield mark
        finally:
            if mark:
                mark.close()

    def _rival(self, device: str, since: str) -> Job | None:
        """The job that runs on the device, else one that has waited for it for longer than a song asked for `since`."""
        jobs = self._jobs(device)
        running = next((job for job in jobs if job.status == "running"), None)
        return running or next((job for job in jobs if job.status == "queued" and job.queued_at < since), None)

    def _growth(self, job: Job) -> int:
        """Return the memory that a training will still take: all of it before its first step, nothing afterwards."""
        folder = JobFolder(self._store.jobs.folder(job.id))
        began = job.status == "running" and isinstance(last_event(folder.metrics), StepEvent)
        return 0 if began else training_need(job.config, folder.path, job.device)

    def _jobs(self, device: str) -> list[Job]:
        jobs = [job for job in self._store.jobs.list() if job.executor == "local"]
        return [job for job in jobs if device_key(job.device) == device_key(device)]

    def _since_path(self, device: str) -> Path:
        """Beside the mark: on Windows nobody else can read a file that is locked."""
        return self._path("waiting", device).with_suffix(".since")

    def _path(self, use: str, device: str) -> Path:
        return self._store.root / ".locks" / f"{use}-{device_key(device).replace(':', '-')}"


def training_need(config: dict[str, Any], job_dir: Path, device: str) -> int:
    """Return the bytes that the job of a folder will take on a device. Raises the errors of its base model."""
    # Loaded only here: a server that has nothing to weigh up needs none of it, and it takes seconds.
    from heartmula_studio.arch.checkpoints import find_base
    from heartmula_studio.finetune.config import TrainConfig
    from heartmula_studio.finetune.costs.memory import training_bytes

    settings, learnt = TrainConfig.from_dict(config), JobFolder(job_dir).read_songs()
    seconds = max((song.duration_sec for song in learnt.songs), default=0.0)
    if learnt.catalogue:  # whose recordings are longer than any window, for all that is known here
        seconds = settings.max_window_sec
    return training_bytes(settings, find_base(config["base_model"]), seconds, device)


def song_need(base_name: str, device: str, is_loaded: bool) -> int:
    """Return the bytes that making a song will take. Raises the errors of the base model."""
    from heartmula_studio.arch.checkpoints import find_base
    from heartmula_studio.generate.memory import generation_bytes

    return generation_bytes(find_base(base_name), device, is_loaded)


def free_bytes(device: str) -> int:
    """Return the free memory of a device: of a GPU its own, else that of the computer."""
    if not is_gpu(device):
        return psutil.virtual_memory().available
    from heartmula_studio.arch.device import memory_info

    return memory_info(device)[0]


def total_bytes(device: str) -> int:
    """Return all memory of a device: of a GPU its own, else that of the computer."""
    if not is_gpu(device):
        return psutil.virtual_memory().total
    from heartmula_studio.arch.device import memory_info

    return memory_info(device)[1]


def shortage(what: str, needed: int, free: int) -> str:
    return f"{what} needs {needed / GB:.1f} GB, and {max(free, 0) / GB:.1f} GB are free."
