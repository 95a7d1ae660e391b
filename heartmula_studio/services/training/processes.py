"""Starting and ending the processes of a job. They live in a session of their own, so they outlive the server."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

import heartmula_studio
from heartmula_studio.errors import ConflictError
from heartmula_studio.files.file_lock import try_lock
from heartmula_studio.files.regular_file import open_regular
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.records import Worker

IMPORT_ROOT = Path(heartmula_studio.__file__).parents[1]
MARK = "HEARTMULA_JOB_FOLDER"  # in the environment of all processes of a job: what they start inherits it
END_SEC = 15.0
# What a session is elsewhere: nothing typed or closed in the server's console reaches the process.
OWN_CONSOLE = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
POLL_SEC = 0.05


def start_worker(folder: JobFolder, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the job's worker. Raises ConflictError where one lives already, OSError where the disk refuses."""
    lock = try_lock(folder.worker_lock)
    if lock is None:
        raise ConflictError("The job's last worker is still running.", "Wait until it has ended.")
    with lock, open_regular(folder.output, append=True) as output:
        return subprocess.Popen(
            command,
            cwd=IMPORT_ROOT,
            env={**os.environ, MARK: str(folder.path)},
            stdin=lock,
            stdout=output,
            stderr=output,
            start_new_session=True,
            creationflags=OWN_CONSOLE,
        )


def end_worker(folder: JobFolder, worker: Worker | None) -> None:
    """Kill all processes of the job; none lives on return. Raises ConflictError where that cannot be done from here."""
    deadline = time.monotonic() + END_SEC
    while folder.is_worked_on() or any(processes_of(folder)):
        if time.monotonic() > deadline:
            place = worker.host if worker else "another computer"
            raise ConflictError(
                f"The job's process on {place} cannot be ended from here.", "Stop and save it, or end it there."
            )
        for process in processes_of(folder):
            process.kill()
        time.sleep(POLL_SEC)


def processes_of(folder: JobFolder) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder.path):
                yield process
        except psutil.Error:  # it has ended, or is somebody else's
            continue
