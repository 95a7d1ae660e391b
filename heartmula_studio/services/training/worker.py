"""`python -m heartmula_studio.services.training.worker JOB_FOLDER`: the process of one training job.

It turns the job's songs into the dataset, where that is not done yet, then trains in the same folder: itself on a CPU,
as another program in its place on a GPU, by `accelerate launch` where a person's own configuration says what to start,
or by Ray Train where it is asked for several processes on a cluster. It knows nothing of the server that started it,
and outlives it. Exit codes as in `heartmula_studio.errors`.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from heartmula_studio.dataset.catalogue_folder import require_catalogue
from heartmula_studio.device_name import device_kind, seen_alone
from heartmula_studio.errors import ConflictError, StudioError, TrainingError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.file_lock import lock_input
from heartmula_studio.files.loading import loading
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.records import Worker

PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
OTHER_DESCRIPTORS = (3, 2**16)  # behind standard input, output and error


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    folder = JobFolder(options.job_dir)
    if options.parent_pid is not None:
        die_with_parent(options.parent_pid)
    if not lock_input(folder.worker_lock):
        print("Error: The job's last worker is still running.", file=sys.stderr)
        return ConflictError.exit_code
    try:
        with disk_explained(folder.path):
            prepare(folder, options)
    except StudioError as error:
        tell(folder, error)
        return error.exit_code
    except Exception as error:
        tell(
            folder,
            TrainingError(f"{type(error).__name__}: {error}", "This is a bug in the program; please report it."),
        )
        raise
    if options.processes > 1:
        return become(spread_command(folder.path, options.ray_address, options.processes, options.memory), {})
    environment = training_environment(options.device, options.accelerate_config)
    if trains_itself(options.device, options.accelerate_config):
        os.environ.update(environment)
        with loading():
            from heartmula_studio.finetune.__main__ import main as train
        return train([str(folder.path)])
    return become(training_command(folder.path, options.accelerate_config), environment)


def prepare(folder: JobFolder, options: argparse.Namespace) -> None:
    """Sign the folder, and make the dataset where that is not done yet.

    Raises as `make_dataset` does, OSError, and NotFoundError where a catalogue is gone.
    """
    folder.write_worker(this_process())
    if catalogue := folder.read_songs().catalogue:
        require_catalogue(Path(catalogue))
    elif not folder.dataset.is_dir():
        # Loaded only here: a resumed job needs none of it, and it takes seconds.
        with loading():
            from heartmula_studio.services.training.preprocess import make_dataset
        make_dataset(folder, options.device, options.max_song_sec)


def tell(folder: JobFolder, error: StudioError) -> None:
    """Leave word of why the job ended, as far as the disk lets: it may be full. The exit code tells in any case."""
    with suppress(OSError):
        folder.write_failure(error)
    with suppress(OSError):
        print(f"Error: {error}", file=sys.stderr)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m heartmula_studio.services.training.worker", description=__doc__)
    parser.add_argument("job_dir", type=Path, metavar="JOB_FOLDER", help="folder with config.json and songs.json")
    parser.add_argument("--device", default="cpu", help="cpu, mps, cuda, cuda:<number>, xpu or xpu:<number>")
    parser.add_argument("--max-song-sec", type=float, default=1200.0, help="longest song allowed, in seconds")
    parser.add_argument("--accelerate-config", type=Path, help="a file made by `accelerate config`")
    parser.add_argument("--ray-address", help="host:port of the cluster that several processes are started on")
    parser.add_argument("--processes", type=int, default=1, help="that train together on that cluster")
    parser.add_argument("--memory", type=int, default=0, help="bytes to ask the cluster for, for each of them")
    parser.add_argument("--parent-pid", type=int, help="the process that this one is not to outlive")
    return parser.parse_args(arguments)


def command(
    job_dir: Path,
    device: str,
    max_song_sec: float,
    accelerate_config: Path | None = None,
    parent_pid: int | None = None,
) -> list[str]:
    """Return the command line that starts this module."""
    options = ["--device", device, "--max-song-sec", str(max_song_sec)]
    if accelerate_config:
        options += ["--accelerate-config", str(accelerate_config)]
    if parent_pid is not None:
        options += ["--parent-pid", str(parent_pid)]
    return [sys.executable, "-m", "heartmula_studio.services.training.worker", str(job_dir), *options]


def spread_command(job_dir: Path, ray_address: str, processes: int, memory_bytes: int) -> list[str]:
    """Return the command line that trains in several processes on a Ray cluster."""
    options = ["--ray", ray_address, "--processes", str(processes), "--memory", str(memory_bytes)]
    return [sys.executable, "-m", "heartmula_studio.services.training.ray_cluster.spread", str(job_dir), *options]


def trains_itself(device: str, accelerate_config: Path | None) -> bool:
    """Whether this process goes on as the trainer: it need not give back what a GPU holds, and has PyTorch loaded."""
    return accelerate_config is None and device_kind(device) == "cpu"


def training_command(job_dir: Path, accelerate_config: Path | None) -> list[str]:
    """Return the command line of the training itself.

    A person's own configuration decides everything, where there is one. Without it there is one process to start, so
    the launcher, which stays in memory until training ends, is left out.
    """
    trainer = ["-m", "heartmula_studio.finetune", str(job_dir)]
    if accelerate_config is None:
        return [sys.executable, *trainer]
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    return [*launcher, "--config_file", str(accelerate_config), *trainer]


def training_environment(device: str, accelerate_config: Path | None) -> dict[str, str]:
    """Return the environment that makes Accelerate train on this device, and on no other.

    Nothing where a person's own configuration decides: it may name more devices than one.
    """
    if accelerate_config is not None:
        return {}
    if device_kind(device) == "cpu":
        return {"ACCELERATE_USE_CPU": "true"}
    return seen_alone(device, os.environ)


def become(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Turn this process into another program; memory and what a GPU holds for it are given back.

    On Windows, where a process cannot do that, it waits for the other and returns its exit code.
    environment: what it finds beside what is in this process's own.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if not hasattr(os, "fork"):
        return subprocess.call(command, env=os.environ | environment)
    os.closerange(*OTHER_DESCRIPTORS)
    return os.execve(command[0], list(command), os.environ | environment)


def die_with_parent(parent_pid: int) -> None:
    """Have the system kill this process, whatever program it becomes, as soon as its parent's thread ends.

    Linux only; elsewhere it lives on.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it has ended already
            os.kill(os.getpid(), signal.SIGKILL)


def this_process() -> Worker:
    return Worker(os.getpid(), psutil.Process().create_time(), socket.gethostname())


if __name__ == "__main__":
    sys.exit(main())
