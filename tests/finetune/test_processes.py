"""Two real processes: against one with twice the batch, stopped and resumed, and when only one of them fails."""

import shutil

import pytest

from heartmula_studio.errors import CancelledError, ConflictError, StorageError
from heartmula_studio.files.file_lock import try_lock
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.run_folder import RunFolder
from tests.finetune.training_jobs import (
    OWN_RANK,
    launch,
    launch_on_nodes,
    losses,
    read_metrics,
    song_row,
    start,
    write_job,
)

TWICE = {"epochs": 4, "learning_rate": 1e-2, "conditioning_dropout": 0.5, "depth_frame_fraction": 0.5}
TWICE |= {"context_noise": 0.2, "draws_per_epoch": 1, "min_window_sec": 1.0, "max_window_sec": 1.5}


@pytest.mark.long
def test_two_processes_that_are_stopped_end_with_the_code_for_it(make_job):
    job = make_job(method="full", gradient_accumulation_steps=2)  # which loads no PEFT
    (job / "stop").touch()
    stopped = launch(job, "--cpu", "--num_processes", "2")
    assert f"exit status {CancelledError.exit_code}." in stopped.stderr
    assert "ended early" not in stopped.stderr
    assert (read_metrics(job)[-1]["event"], read_metrics(job)[-1]["step"]) == ("stopped", 1)


@pytest.fixture(scope="module")
def ended(tmp_path_factory, base_dir):
    """Jobs by name that two processes did, one after another, and what they printed.

    "two" is stopped after a step and resumed; "apart" then is, where each process has a folder of its own, of which
    only the first holds the state; "blocked" cannot save its state.
    """
    folder, songs = tmp_path_factory.mktemp("ended"), [song_row(number, 10 + 3 * number) for number in range(6)]
    settings = {
        "two": {"gradient_accumulation_steps": 2, **TWICE},
        "16 bits": {"method": "full", "base_dtype": "bfloat16"},
        "apart-0": {"method": "full"},
        "blocked": {"epochs": 1, "state_every_steps": 1},
    }
    jobs = {name: write_job(folder / name, songs, base_model=str(base_dir), **own) for name, own in settings.items()}
    jobs["apart-1"] = shutil.copytree(jobs["apart-0"], folder / "apart-1")
    jobs["apart"] = folder / f"apart-{OWN_RANK}"
    for name in ("two", "apart-0"):
        (jobs[name] / "stop").touch()
    (jobs["blocked"] / "state").write_text("in the way")
    processes = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.finetune.in_turn"]
    in_turn = [str(jobs[name]) for name in ("two", "two", "16 bits", "apart-0", "apart", "blocked")]
    return jobs, start(*processes, *in_turn, ACCELERATE_USE_CPU="true").stderr


@pytest.mark.long
def test_two_processes_stopped_and_resumed_give_the_curve_of_one_with_twice_the_batch(ended, make_job):
    """Five songs of different lengths in steps of four: one process has nothing to do in the second step.

    Prompts are dropped, windows and depth frames drawn for each example alike, wherever it is run.
    """
    two, one = ended[0]["two"], make_job(batch_size=4, **TWICE)
    train(one)
    assert "Resumed after step 1 of 8." in (two / "logs.txt").read_text()
    assert read_metrics(two)[-1]["event"] == "done"
    assert len(losses(two)) == 8 + 5
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)


@pytest.mark.long
def test_a_full_fine_tune_in_16_bits_is_refused_in_two(ended):
    error = read_metrics(ended[0]["16 bits"])[-1]["error"]
    assert error["code"] == "invalid_input"
    assert "one process, not in 2" in error["message"]


@pytest.mark.long
def test_a_failure_to_save_in_one_process_ends_both(ended):
    """Only the main process saves; the other would wait for it until the process group's timeout."""
    jobs, printed = ended
    assert f"exitcode  : {StorageError.exit_code} " in printed
    error = read_metrics(jobs["blocked"])[-1]["error"]
    assert error["code"] == "storage"
    assert str(jobs["blocked"] / "state") in error["message"]


@pytest.mark.long
def test_processes_that_find_different_runs_in_their_folders_say_what_differs(ended):
    """P: with a folder for each machine a resumed run died without a word: only the main process has saved a state."""
    error = read_metrics(ended[0]["apart-0"])[-1]["error"]
    assert error["code"] == "invalid_input"
    assert "Process 1 on" in error["message"]
    assert "the saved state" in error["message"]
    assert not (ended[0]["apart-1"] / "metrics.jsonl").exists()


@pytest.mark.long
def test_two_machines_are_one_run(make_job):
    """P: each machine made a whole run of its own, and both wrote into one folder: 12 lines for 6 steps."""
    job = make_job("shared", method="full", epochs=1)
    (job / "stop").touch()
    for run in launch_on_nodes(job, processes=2, nodes=2):
        assert f"exit status {CancelledError.exit_code}." in run.stderr
    assert [line["step"] for line in read_metrics(job, "step")] == [1]


def test_a_second_run_in_a_folder_is_refused_and_writes_nothing(make_job):
    """P: two runs in one folder both wrote; whoever began it, the second is told so."""
    job = make_job(epochs=1)
    lock = RunFolder(job).lock
    files = set(job.iterdir()) | {lock}
    with try_lock(lock), pytest.raises(ConflictError, match="Another run is training"):
        train(job)
    assert set(job.iterdir()) == files
    assert train(job).status == "completed"
