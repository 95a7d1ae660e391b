"""What runs on a node: an actor for each job, which starts its worker and leaves word of how it ended."""

import os
import platform
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import Popen

from heartmula_studio.errors import NotFoundError, StudioError
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.processes import end_worker, start_worker
from heartmula_studio.services.training.worker import command


class WorkerRunner:
    """Runs one worker as its child, and ends with it: what it holds of the node is free at that moment."""

    def __init__(
        self,
        job_dir: str,
        device: str,
        max_song_sec: float,
        environment: Mapping[str, str],
        spread: Sequence[str] = (),
    ):
        """environment: variables of the server that are to hold here, too. spread: the worker's options for that."""
        os.environ.update(environment)
        self._spread = spread
        self._folder, self._refusal = JobFolder(Path(job_dir)), ""
        threading.Thread(target=self._run, args=[device, max_song_sec], daemon=True).start()

    def refusal(self) -> str:
        """Say why the worker could not be started; nothing where it was."""
        return self._refusal

    def kill(self) -> None:
        """End all processes of the job. Raises ConflictError where one will not end."""
        end_worker(self._folder, None)

    def _run(self, device: str, max_song_sec: float) -> None:
        """The worker's parent is this thread, which it does not outlive: what was lent to it is lent to others then."""
        try:
            child = self._start(device, max_song_sec)
        except (StudioError, OSError) as error:
            self._refusal = str(error)
            return
        self._folder.write_exit_code(child.wait())
        os._exit(0)  # an actor can be ended from one of its calls only, and nothing calls here

    def _start(self, device: str, max_song_sec: float) -> "Popen[bytes]":
        if not self._folder.config.is_file():
            raise NotFoundError(
                f"{platform.node()} does not see the job's folder {self._folder.path}.",
                "The data folder must be one that the server and all nodes share, at the same path.",
            )
        line = command(self._folder.path, device, max_song_sec, parent_pid=os.getpid())
        return start_worker(self._folder, [*line, *self._spread])
