"""`python -m heartmula_studio.jobs.worker JOB_FOLDER`: the process of one training job.

It turns the job's songs into the dataset, where that is not done yet, then becomes `accelerate launch` on the same
folder. It knows nothing of the server that started it, and outlives it. Exit codes as in `heartmula_studio.errors`.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from heartmula_studio.errors import StudioError, TrainingError
from heartmula_studio.jobs.job_folder import JobFolder
from heartmula_studio.store.records import Worker

FIRST_FILE_DESCRIPTOR = 3  # behind standard input, output and error


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    folder = JobFolder(options.job_dir)
    folder.write_worker(this_process())
    if not folder.dataset.is_dir():
        # Loaded only here: a resumed job needs none of it, and it takes seconds.
        from heartmula_studio.jobs.preprocess import make_dataset

        try:
            make_dataset(folder, options.device, options.max_song_sec)
        except StudioError as error:
            folder.write_failure(error)
            print(f"Error: {error}", file=sys.stderr)
            return error.exit_code
        except Exception as error:
            folder.write_failure(
                TrainingError(f"{type(error).__name__}: {error}", "This is a fault of the program; please report it.")
            )
            raise
    become(launch_command(folder.path, options.device, options.accelerate_config))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m heartmula_studio.jobs.worker", description=__doc__)
    parser.add_argument("job_dir", type=Path, metavar="JOB_FOLDER", help="folder with config.json and songs.json")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:<number> or mps")
    parser.add_argument("--max-song-sec", type=float, default=1200.0, help="longest song allowed, in seconds")
    parser.add_argument("--accelerate-config", type=Path, help="a file made by `accelerate config`")
    return parser.parse_args(arguments)


def command(job_dir: Path, device: str, max_song_sec: float, accelerate_config: Path | None) -> list[str]:
    """The command line that starts this module."""
    options = ["--device", device, "--max-song-sec", str(max_song_sec)]
    if accelerate_config:
        options += ["--accelerate-config", str(accelerate_config)]
    return [sys.executable, "-m", "heartmula_studio.jobs.worker", str(job_dir), *options]


def launch_command(job_dir: Path, device: str, accelerate_config: Path | None) -> list[str]:
    """The command line of `accelerate launch`. A person's own configuration decides everything, where there is one."""
    kind, _, number = device.partition(":")
    if accelerate_config:
        options = ["--config_file", str(accelerate_config)]
    else:
        options = ["--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        if kind == "cpu":
            options.append("--cpu")
        elif kind == "cuda":
            options += ["--gpu_ids", number or "0"]
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    return [*launcher, *options, "-m", "heartmula_studio.finetune", str(job_dir)]


def become(command: Sequence[str]) -> None:
    """Turn this process into another program; memory and what a GPU holds for it are given back."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.closerange(FIRST_FILE_DESCRIPTOR, os.sysconf("SC_OPEN_MAX"))
    os.execv(command[0], command)


def this_process() -> Worker:
    return Worker(os.getpid(), psutil.Process().create_time(), socket.gethostname())


if __name__ == "__main__":
    sys.exit(main())
