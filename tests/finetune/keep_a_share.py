"""`accelerate launch -m tests.finetune.keep_a_share JOB`: train, then write what each process holds of the whole."""

import json
import sys
from pathlib import Path

from accelerate import PartialState
from torch.distributed.tensor import DTensor

from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.stop import StopRequest
from heartmula_studio.finetune.trainer import Trainer


def share(tensors: list[DTensor]) -> float:
    return sum(tensor.to_local().numel() for tensor in tensors) / sum(tensor.numel() for tensor in tensors)


def main() -> None:
    job, process = Path(sys.argv[1]), PartialState(cpu=True)
    folder = RunFolder(job)
    config = TrainConfig.load(folder.config)
    trainer = Trainer(folder, config, RunLog(folder, process.is_main_process), StopRequest(folder), None)
    trainer.run()
    moments = [moment for state in trainer.setup.optimizer.state.values() for moment in state.values() if moment.ndim]
    shares = {"weights": share(list(trainer.setup.network.parameters())), "moments": share(moments)}
    (job / f"share-{process.process_index}.json").write_text(json.dumps(shares))
    process.destroy_process_group()


if __name__ == "__main__":
    main()
