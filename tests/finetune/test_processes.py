"""Two real processes against one with twice the batch.

Started by torchrun, which Accelerate reads the ranks from: `accelerate launch --cpu --num_processes 2` itself starts
a single process where MPI is not installed (huggingface/accelerate issue 2741).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_jobs import losses, read_metrics

from heartmula_studio.finetune.job import train

REPOSITORY = Path(__file__).parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def run_two_processes(job, timeout_sec: float = 300) -> subprocess.CompletedProcess:
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, "-m", "heartmula_studio.finetune", str(job)]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, timeout=timeout_sec, capture_output=True, text=True)


def test_two_processes_give_the_curve_of_one_with_twice_the_batch(make_job):
    """Five songs of different lengths in steps of four: one process has nothing to do in the second step.

    Prompts are dropped and depth frames drawn for each example alike, wherever it is run.
    """
    settings = {"epochs": 4, "learning_rate": 1e-2, "conditioning_dropout": 0.5, "depth_share": 0.5}
    two = make_job("two", gradient_accumulation_steps=2, **settings)
    one = make_job("one", batch_size=4, **settings)
    done = run_two_processes(two)
    assert done.returncode == 0, done.stderr
    train(one)
    assert read_metrics(two)[-1]["event"] == "done"
    assert len(losses(two)) == 8 + 5
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
