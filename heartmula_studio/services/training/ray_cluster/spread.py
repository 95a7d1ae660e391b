"""`python -m heartmula_studio.services.training.ray_cluster.spread RUN --ray ADDRESS --processes N`: one training over
the nodes of a Ray cluster.

Ray Train starts the processes, on as many nodes as there are, and has them meet; Accelerate finds them met. Where a
node is lost, it starts them anew as soon as there is room, and they go on from the last saved state. RUN must be at one
path on all nodes. Exit codes as those of `heartmula_studio.finetune`.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported

import ray
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError

from heartmula_studio.errors import (
    CancelledError,
    ClusterError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StudioError,
    TrainingError,
)
from heartmula_studio.files.file_lock import is_locked
from heartmula_studio.finetune.events import DoneEvent, FailedEvent, StoppedEvent, drop_ending, last_event
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.services.ray_address import require_listener
from heartmula_studio.services.training.placement import MAX_PROCESSES

MOST_RESTARTS = 10  # as a job that is moved from node to node
END_SEC = 60.0  # in which the processes of an attempt that was killed end
PASSED_ON = ("HF_HUB_OFFLINE",)
PEER_LOST = "peer_lost"  # the code of a PeerLostError


@dataclass(frozen=True)
class SpreadRun:
    """A run, and what each of its processes needs. Raises NotFoundError without a run, InvalidInputError."""

    folder: RunFolder
    address: str
    processes: int
    memory_bytes: int = 0

    def __post_init__(self) -> None:
        if not self.folder.config.is_file():
            raise NotFoundError(f"There is no run in {self.folder.path}.", "Give a folder with config.json.")
        if not 1 <= self.processes <= MAX_PROCESSES:
            raise InvalidInputError(f"--processes is {self.processes}.", f"Allowed: 1 to {MAX_PROCESSES}.")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m heartmula_studio.services.training.ray_cluster.spread")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder with config.json and dataset/")
    parser.add_argument("--ray", required=True, metavar="ADDRESS", help="host:port of the cluster's head node")
    parser.add_argument("--processes", type=int, required=True, help="how many train together")
    parser.add_argument("--memory", type=int, default=0, help="bytes that each of them needs")
    options = parser.parse_args(arguments)
    try:
        return train_spread(SpreadRun(RunFolder(options.run.resolve()), options.ray, options.processes, options.memory))
    except StudioError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code


def train_spread(run: SpreadRun) -> int:
    """Train on the cluster; return the exit code.

    Raises ClusterError, ConflictError where another run is at work in the folder, and TrainingError.
    """
    connect(run.address)
    wait_for_earlier(run.folder)
    drop_ending(run.folder.metrics)
    try:
        trainer_of(run).fit()
    except TrainingFailedError as error:
        raise TrainingError("A training process ended early.", f"{run.folder.logs} says why.") from error
    finally:
        shutil.rmtree(run.folder.path / "ray", ignore_errors=True)
    match last_event(run.folder.metrics):
        case DoneEvent():
            return 0
        case StoppedEvent():
            return CancelledError.exit_code
    return TrainingError.exit_code  # metrics.jsonl says why


def connect(address: str) -> None:
    """Raises ClusterError."""
    try:
        require_listener(address)
        ray.init(address, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        raise ClusterError(
            f"The Ray cluster at {address} cannot be reached. {error}", "Give host:port of its head node."
        ) from error


def wait_for_earlier(folder: RunFolder) -> None:
    """Wait for processes whose starter was killed: the cluster ends them. Raises ConflictError where they live on."""
    deadline = time.monotonic() + END_SEC
    while is_locked(folder.lock):
        if time.monotonic() > deadline:
            raise ConflictError(f"Another run is training in {folder.path}.", "Wait until it has ended, or stop it.")
        time.sleep(1.0)


def trainer_of(run: SpreadRun) -> TorchTrainer:
    has_gpus = bool(ray.cluster_resources().get("GPU"))
    cores = float(os.environ.get("OMP_NUM_THREADS") or 1)
    resources = {"CPU": cores, "memory": run.memory_bytes} | ({"GPU": 1.0} if has_gpus else {})
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return TorchTrainer(
        train_together,
        train_loop_config={"run": str(run.folder.path), "has_gpus": has_gpus, "environment": environment},
        scaling_config=ScalingConfig(
            num_workers=run.processes, use_gpu=has_gpus, resources_per_worker=resources, placement_strategy="SPREAD"
        ),
        run_config=RunConfig(
            storage_path=str(run.folder.path / "ray"), failure_config=FailureConfig(max_failures=MOST_RESTARTS)
        ),
    )


def train_together(settings: Mapping[str, Any]) -> None:
    """Be one process of the run. One that has failed for good, and was started anew, ends at once."""
    os.environ.update(settings["environment"])
    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)  # Ray Train's own choice; Accelerate's is the same
    folder = RunFolder(Path(settings["run"]))
    match last_event(folder.metrics):
        case FailedEvent(error=error) if error.code != PEER_LOST:
            return
    # Loaded only here: the process that starts the others needs none of it, and it takes seconds.
    from heartmula_studio.finetune.job import train
    from heartmula_studio.generate.previews import SongListener

    train(folder.path, device=None if settings["has_gpus"] else "cpu", listener=SongListener())


if __name__ == "__main__":
    sys.exit(main())
