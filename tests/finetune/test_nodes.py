"""One job with more and more processes, on one node and over two: the same global batch gives the same curve."""

from pathlib import Path

import pytest

from heartmula_studio.finetune.job import train
from tests.finetune.training_jobs import launch_on_nodes, loss_curve, song_row, write_job

GLOBAL_BATCH = 4
# All that is drawn at random, and epochs of seven windows, whose second step has nothing for one process in four.
SETTINGS = {"epochs": 4, "learning_rate": 1e-2, "draws_per_epoch": 1, "min_window_sec": 1.0, "max_window_sec": 1.5}
SETTINGS |= {"conditioning_dropout": 0.5, "depth_frame_fraction": 0.5, "context_noise": 0.2, "ema_decay": 0.9}
SETTINGS |= {"lora": {"dropout": 0.1}}
STEPS, EVALUATIONS = 8, 5


@pytest.fixture(scope="module")
def write(tmp_path_factory, base_dir):
    """write(processes) → a job for so many processes, whose steps are of `GLOBAL_BATCH` windows."""

    def write_for(processes: int) -> Path:
        rows = [song_row(number, 10 + 3 * number) for number in range(8)]
        accumulated = {"gradient_accumulation_steps": GLOBAL_BATCH // processes}
        return write_job(
            tmp_path_factory.mktemp("nodes") / "job", rows, base_model=str(base_dir), **SETTINGS, **accumulated
        )

    return write_for


@pytest.fixture(scope="module")
def alone(write) -> Path:
    """The job that one process did."""
    job = write(1)
    train(job)
    assert len(loss_curve(job)) == STEPS + EVALUATIONS
    return job


@pytest.mark.long
@pytest.mark.parametrize(("processes", "nodes"), [(2, 1), (4, 1), (2, 2), (4, 2)])
def test_processes_on_nodes_give_the_curve_of_one_process(write, alone, processes, nodes):
    """Losses of training and held-out songs, of each codebook, and the norm of each gradient."""
    job = write(processes)
    for run in launch_on_nodes(job, processes, nodes):
        assert run.returncode == 0, run.stderr
    for found, expected in zip(loss_curve(job), loss_curve(alone), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
