"""Starts the processes that Accelerate's launcher for CPUs leaves to MPI.

`accelerate launch --cpu --num_processes 2` starts one process and expects MPI to start the others (huggingface/
accelerate issue 2741). That process then starts all of them itself, as `torchrun` would.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import psutil
from accelerate.utils import parse_flag_from_env
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from heartmula_studio.errors import CancelledError, TrainingError
from heartmula_studio.finetune.run_log import RunLog

MODULE = "heartmula_studio.finetune"


def processes_left_to_start() -> int:
    """Count the processes asked for where the launcher started this one alone; 0 where nothing is left to do."""
    asked_for_several = parse_flag_from_env("ACCELERATE_USE_CPU") and "MASTER_ADDR" in os.environ
    if not asked_for_several or "WORLD_SIZE" in os.environ:
        return 0
    # The number is nowhere but on the launcher's own command line.
    launcher = psutil.Process().parent()
    return number_of_processes(launcher.cmdline()) if launcher else 0


def number_of_processes(command: Sequence[str]) -> int:
    """Read the value of `--num_processes` in a command line, 0 without it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--num_processes", "--num-processes", type=int, default=0)
    return parser.parse_known_args(list(command))[0].num_processes


def run_processes(count: int, job_dir: Path) -> int:
    """Run the job in `count` processes on this machine.

    Returns the exit code: 0 complete, 130 stopped and saved. Raises TrainingError where a process fails.
    """
    try:
        torchrun.main(["--standalone", "--nproc-per-node", str(count), "-m", MODULE, str(job_dir)])
    except (ChildFailedError, SignalException) as error:
        if RunLog(job_dir, enabled=False).last_event() == "stopped":
            return CancelledError.exit_code
        raise TrainingError("A training process ended early.", f"{job_dir / 'logs.txt'} says why.") from error
    return 0
