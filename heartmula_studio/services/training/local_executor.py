"""Workers on this machine: one at a time on each device."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from heartmula_studio.device_name import device_key
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.training.executor import WorkerEnd
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.processes import end_worker, start_worker
from heartmula_studio.services.training.worker import command
from heartmula_studio.store.records import ExecutorName, Job

REAP_SEC = 5.0


class LocalExecutor:
    """An `Executor`. Its workers outlive the server, and the next one finds them by their locks."""

    name: ExecutorName = "local"

    def __init__(self, devices: Devices, max_song_sec: float = 1200.0, accelerate_config: Path | None = None):
        """`max_song_sec`: longest song allowed. `accelerate_config`: a file that decides how training is launched."""
        self._devices, self._max_song_sec, self._accelerate_config = devices, max_song_sec, accelerate_config
        self._children: dict[str, subprocess.Popen[bytes]] = {}  # workers this server started, for their exit codes

    def line_of(self, job: Job) -> str:
        return device_key(job.device)

    def reason_to_wait(self, job: Job, folder: JobFolder, running: Sequence[Job]) -> str | None:
        """Raises the errors of its songs.json or base model."""
        at_work = next((other for other in running if device_key(other.device) == device_key(job.device)), None)
        if at_work:
            return f"Waits for the training of {at_work.dataset_name} on {at_work.device}."
        return self._devices.may_train(job.device, job.config, folder.path, job.queued_at)

    def device_of(self, job: Job) -> str:
        return job.device

    def start(self, job: Job, folder: JobFolder) -> None:
        line = command(folder.path, job.device, self._max_song_sec, self._accelerate_config)
        self._children[job.id] = start_worker(folder, line)

    def is_starting(self, job: Job, folder: JobFolder) -> bool:
        """Tell whether a worker of this server has not signed its folder yet: on Windows it locks it first, itself."""
        child = self._children.get(job.id)
        return child is not None and job.worker is None and folder.read_worker() is None and child.poll() is None

    def has_started(self, job: Job, folder: JobFolder) -> bool:
        return job.id in self._children

    def end_of(self, job: Job, folder: JobFolder) -> WorkerEnd:
        child = self._children.get(job.id)
        return WorkerEnd(child.wait(REAP_SEC) if child else None)

    def kill(self, job: Job, folder: JobFolder) -> None:
        end_worker(folder, job.worker)
        if child := self._children.get(job.id):
            child.wait(REAP_SEC)

    def forget(self, job: Job) -> None:
        self._children.pop(job.id, None)

    def close(self) -> None:
        """Nothing is held but child processes, which go on."""
