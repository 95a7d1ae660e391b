"""Starts the processes that Accelerate's launcher for CPUs leaves to MPI.

`accelerate launch --cpu --num_processes 2` starts one process on each machine and expects MPI to start the others
(huggingface/accelerate issue 2741). That process then starts all of its machine itself, as `torchrun` would.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from accelerate.commands.config import default_config_file, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import parse_flag_from_env
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from heartmula_studio.errors import CancelledError, InvalidInputError, TrainingError
from heartmula_studio.finetune.events import StoppedEvent, last_event
from heartmula_studio.finetune.run_folder import RunFolder

MODULE = "heartmula_studio.finetune"


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and the number of this machine. Raises InvalidInputError for impossible ones."""

    count: int  # on all machines together
    machines: int = 1
    machine_rank: int = 0
    main_ip: str = "127.0.0.1"
    main_port: int = 29500

    def __post_init__(self) -> None:
        is_shared_out = 1 <= self.machines <= self.count and self.count % self.machines == 0
        if not is_shared_out or not 0 <= self.machine_rank < self.machines:
            raise InvalidInputError(
                f"{self.count} processes on {self.machines} machines, of which this is number {self.machine_rank}, "
                "is not possible.",
                "num_processes counts those of all machines, each runs as many as the others, and machine_rank begins "
                "at 0.",
            )

    def torchrun_options(self) -> list[str]:
        """The options with which `torchrun` starts the processes of this machine."""
        here = ["--nproc-per-node", str(self.count // self.machines)]
        if self.machines == 1:
            return ["--standalone", *here]
        meeting = ["--master-addr", self.main_ip, "--master-port", str(self.main_port)]
        return ["--nnodes", str(self.machines), "--node-rank", str(self.machine_rank), *meeting, *here]


def processes_left_to_start() -> Processes | None:
    """Read what the launcher was asked for where it started this process alone; None where nothing is left to do.

    Raises InvalidInputError where it was asked for what is not possible.
    """
    asked_for_several = parse_flag_from_env("ACCELERATE_USE_CPU") and "MASTER_ADDR" in os.environ
    if not asked_for_several or "WORLD_SIZE" in os.environ:
        return None
    # The numbers are nowhere but on the launcher's own command line, and in its configuration.
    launcher = psutil.Process().parent()
    return asked_for(launcher.cmdline()) if launcher else None


def asked_for(command: Sequence[str]) -> Processes | None:
    """Read what a command line of `accelerate launch` asks for; None for one process, and for other commands."""
    if not (options := launch_options(command)):
        return None
    given = launch_command_parser().parse_args(options)
    reads_file = given.config_file is not None or (Path(default_config_file).is_file() and not given.cpu)
    configured = load_config_from_file(given.config_file) if reads_file else None

    def option(name: str, default: int | str) -> int | str:
        candidates = (getattr(given, name), getattr(configured, name, None), default)
        return next(value for value in candidates if value is not None)

    machines = int(option("num_machines", 1))
    processes = Processes(
        count=int(option("num_processes", machines)),
        machines=machines,
        machine_rank=int(option("machine_rank", 0)),
        main_ip=str(option("main_process_ip", "127.0.0.1")),
        main_port=int(option("main_process_port", 29500)),
    )
    return processes if processes.count > 1 else None


def launch_options(command: Sequence[str]) -> list[str]:
    """Return the arguments of `accelerate launch` on a command line; nothing for another command."""
    for place, argument in enumerate(command[:4]):
        if Path(argument).name in ("launch", "launch.py", "accelerate-launch", "accelerate.commands.launch"):
            return list(command[place + 1 :])
    return []


def run_processes(processes: Processes, job_dir: Path) -> int:
    """Run this machine's processes of the job.

    Returns the exit code: 0 complete, 130 stopped and saved. Raises TrainingError where a process fails.
    """
    folder = RunFolder(job_dir)
    try:
        torchrun.main([*processes.torchrun_options(), "-m", MODULE, str(job_dir)])
    except (ChildFailedError, SignalException) as error:
        if isinstance(last_event(folder.metrics), StoppedEvent) or CancelledError.exit_code in exit_codes(error):
            return CancelledError.exit_code
        where = "" if processes.machine_rank == 0 else " on the first machine"
        raise TrainingError("A training process ended early.", f"{folder.logs}{where} says why.") from error
    return 0


def exit_codes(error: ChildFailedError | SignalException) -> Iterable[int]:
    return [failure.exitcode for failure in error.failures.values()] if isinstance(error, ChildFailedError) else []
