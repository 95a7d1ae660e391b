"""Where the workers of jobs run, and what the queue asks of that place.

A worker and the server talk through the job's folder, which both see, wherever the worker runs. Whether one is at work
is told by the lock there (`JobFolder.is_worked_on`); an executor is asked for what the folder cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.records import ExecutorName, Job


@dataclass(frozen=True)
class WorkerEnd:
    """How a worker ended. exit_code: None where it is not known. is_lost: it went with the machine it ran on."""

    exit_code: int | None = None
    is_lost: bool = False


class Executor(Protocol):
    """Starts workers and tells what became of them. Called by one thread at a time, under the queue's lock."""

    @property
    def name(self) -> ExecutorName: ...

    def line_of(self, job: Job) -> str:
        """Name the line that a job waits in; of each line the queue starts only the first one."""
        ...

    def reason_to_wait(self, job: Job, folder: JobFolder, running: Sequence[Job]) -> str | None:
        """Return what a job has to wait for, in words; None where it can start now.

        running: the other jobs of this executor. Raises the StudioErrors of a job that cannot start at all.
        """
        ...

    def device_of(self, job: Job) -> str:
        """Return the device that a job which is about to start will run on."""
        ...

    def start(self, job: Job, folder: JobFolder) -> None:
        """Start the worker of a job, as its record says. Raises ConflictError where one lives already, OSError."""
        ...

    def is_starting(self, job: Job, folder: JobFolder) -> bool:
        """Tell whether a worker was started that has not locked its folder yet. Raises StudioError if unknown."""
        ...

    def has_started(self, job: Job, folder: JobFolder) -> bool:
        """Tell whether a worker was started that has not signed its folder, and is to be told of."""
        ...

    def end_of(self, job: Job, folder: JobFolder) -> WorkerEnd:
        """Return how the worker of a job ended, of which no process lives any more."""
        ...

    def kill(self, job: Job, folder: JobFolder) -> None:
        """End all processes of a job; none lives on return. Raises ConflictError where that is not possible."""
        ...

    def forget(self, job: Job) -> None:
        """Drop what is kept of a job's last worker: its end is on record."""
        ...

    def close(self) -> None:
        """Let go of what this server holds. Workers go on."""
        ...
