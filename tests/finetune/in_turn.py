"""`torchrun -m tests.finetune.in_turn JOB …`: train jobs one after another in processes that take seconds to start.

The last one is run as `-m heartmula_studio.finetune` runs it; of the others, metrics.jsonl alone tells how they ended.
OWN_RANK in a job's path stands for the number of the process. With `--shares-of JOB` each process also writes what it
holds of that job's weights and moments.
"""

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from accelerate import PartialState
from accelerate.state import AcceleratorState
from torch.distributed.tensor import DTensor

from heartmula_studio.errors import StudioError
from heartmula_studio.finetune.__main__ import main as run
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.stop import StopRequest
from heartmula_studio.finetune.trainer import Trainer
from tests.finetune.training_jobs import OWN_RANK


def share(tensors: list[DTensor]) -> float:
    return sum(tensor.to_local().numel() for tensor in tensors) / sum(tensor.numel() for tensor in tensors)


def train_and_write_shares(job: Path) -> None:
    process = PartialState(cpu=True)
    folder = RunFolder(job)
    config = TrainConfig.load(folder.config)
    trainer = Trainer(folder, config, RunLog(folder, process.is_main_process), StopRequest(folder), None)
    trainer.run()
    moments = [moment for state in trainer.setup.optimizer.state.values() for moment in state.values() if moment.ndim]
    shares = {"weights": share(list(trainer.setup.network.parameters())), "moments": share(moments)}
    (job / f"share-{process.process_index}.json").write_text(json.dumps(shares))
    AcceleratorState._reset_state()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=Path, nargs="+")
    parser.add_argument("--shares-of", type=Path)
    options = parser.parse_args()
    launched_with = dict(os.environ)
    if options.shares_of:
        train_and_write_shares(options.shares_of)
    for job in options.jobs[:-1]:
        with suppress(StudioError):
            train(Path(str(job).replace(OWN_RANK, launched_with["RANK"])))
        os.environ.update(launched_with)
    return run([str(options.jobs[-1])])


if __name__ == "__main__":
    sys.exit(main())
