"""Two real processes against one with twice the batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heartmula_studio.finetune.job import train
from tests.finetune.training_jobs import losses, read_metrics

REPOSITORY = Path(__file__).parents[2]
REPOSITORY = Path(__file__).parents[2]
LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")


def run_two_processes(job, timeout_sec: float = 300) -> subprocess.CompletedProcess:
    command = [*LAUNCH, "-m", "heartmula_studio.finetune", str(job)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
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
