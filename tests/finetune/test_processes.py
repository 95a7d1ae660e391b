"""Two real processes: against one with twice the batch, stopped and resumed, and when only one of them fails."""

import subprocess

import pytest

from heartmula_studio.errors import CancelledError, TrainingError
from heartmula_studio.finetune.job import train
from tests.finetune.training_jobs import launch, losses, read_metrics


def run_two_processes(job, timeout_sec: float = 300) -> subprocess.CompletedProcess:
    return launch(job, "--cpu", "--num_processes", "2", timeout_sec=timeout_sec)


def test_two_processes_stopped_and_resumed_give_the_curve_of_one_with_twice_the_batch(make_job):
    """Five songs of different lengths in steps of four: one process has nothing to do in the second step.

    Prompts are dropped and depth frames drawn for each example alike, wherever it is run.
    """
    settings = {"epochs": 4, "learning_rate": 1e-2, "conditioning_dropout": 0.5, "depth_share": 0.5}
    two = make_job("two", gradient_accumulation_steps=2, **settings)
    one = make_job("one", batch_size=4, **settings)
    (two / "stop").touch()
    stopped = run_two_processes(two)
    assert f"exit status {CancelledError.exit_code}." in stopped.stderr
    assert "ended early" not in stopped.stderr
    assert (read_metrics(two)[-1]["event"], read_metrics(two)[-1]["step"]) == ("stopped", 1)
    done = run_two_processes(two)
    assert done.returncode == 0, done.stderr
    train(one)
    assert read_metrics(two)[-1]["event"] == "done"
    assert len(losses(two)) == 8 + 5
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)


def test_a_full_fine_tune_in_16_bits_is_refused_in_two(make_job):
    job = make_job(method="full", base_dtype="bfloat16")
    failed = run_two_processes(job)
    assert f"exit status {TrainingError.exit_code}." in failed.stderr
    assert read_metrics(job)[-1]["error"]["code"] == "invalid_input"
    assert "one process, not in 2" in read_metrics(job)[-1]["error"]["message"]


def test_a_failure_to_save_in_one_process_ends_both(make_job):
    """Only the main process saves; the other would wait for it until the process group's timeout."""
    job = make_job(epochs=1, state_every_steps=1)
    (job / "state").write_text("in the way")
    failed = run_two_processes(job, timeout_sec=90)
    assert f"exit status {TrainingError.exit_code}." in failed.stderr
    assert read_metrics(job)[-1]["error"]["code"] == "training"
    assert str(job / "state") in read_metrics(job)[-1]["error"]["message"]
