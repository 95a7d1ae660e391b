"""A run that was stopped, killed or cut off repeats, bit for bit, the one that never was."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from heartmula_studio.errors import CancelledError, CheckpointCorruptError, InvalidInputError
from heartmula_studio.finetune.__main__ import main
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.state import (
    RunProgress,
    RunState,
    check_identity,
    load_state,
    recover_states,
    save_state,
)
from tests.finetune.training_jobs import loss_curve, losses, read_metrics, song_row, write_job

REPOSITORY = Path(__file__).parents[2]
SETTINGS = {
    "epochs": 2,
    "learning_rate": 1e-2,
    "conditioning_dropout": 0.5,
    "depth_frame_fraction": 0.5,
    "lora": {"dropout": 0.2},
    "context_noise": 0.2,
    "draws_per_epoch": 1,  # from songs of up to 2 s
    "min_window_sec": 1.0,
    "max_window_sec": 1.5,
}


@pytest.fixture(scope="module")
def unbroken_curve(tmp_path_factory, base_dir):
    rows = [song_row(i, 10 + 3 * i) for i in range(6)]  # as make_job's
    job = write_job(tmp_path_factory.mktemp("jobs") / "unbroken", rows, base_model=str(base_dir), **SETTINGS)
    train(job)
    return loss_curve(job)


def stop_by_file(job):
    (job / "stop").touch()


def stop_by_signal(job):
    os.kill(os.getpid(), signal.SIGTERM)


def train_until(job, step: int, stop) -> None:
    """Run `job`, asking it to stop from within step `step`."""
    result = train(job, on_step=lambda event: stop(job) if event.step == step else None)
    # The request arrives after that step's vote, so the next one is the last.
    assert (result.status, result.step) == ("stopped", step + 1)


@pytest.mark.parametrize("stop", [stop_by_file, stop_by_signal])
@pytest.mark.parametrize("steps", [[1], [4], [3, 6, 8]])
def test_stopped_at_any_step_and_resumed_the_curve_is_the_same(make_job, unbroken_curve, steps, stop):
    """Stops after steps 2, 5 (an epoch's end), and three times in one run."""
    job = make_job(**SETTINGS)
    for step in steps:
        train_until(job, step, stop)
        assert read_metrics(job)[-1]["event"] == "stopped"
    assert train(job).status == "completed"
    assert loss_curve(job) == unbroken_curve
    assert [line["event"] for line in read_metrics(job)].count("stopped") == 0


def test_a_full_fine_tune_resumes_too(make_job):
    settings = {**SETTINGS, "method": "full", "learning_rate": 1e-3}
    whole, broken = make_job("whole", **settings), make_job("broken", **settings)
    train(whole)
    train_until(broken, 6, stop_by_file)
    train(broken)
    assert loss_curve(broken) == loss_curve(whole)


def test_stopping_leaves_a_usable_checkpoint_and_removes_the_request(make_job):
    job = make_job(**SETTINGS)
    train_until(job, 2, stop_by_file)
    assert (job / "checkpoints" / "last" / "adapter_model.safetensors").is_file()
    assert not (job / "stop").exists()


def test_the_worker_says_by_its_exit_code_how_it_ended(make_job):
    job = make_job(epochs=1)
    stop_by_file(job)
    assert main([str(job)]) == CancelledError.exit_code
    assert [line["event"] for line in read_metrics(job)] == ["start", "eval", "step", "stopped"]
    assert main([str(job)]) == 0


@pytest.mark.long  # as services/training/test_workers.py kills a worker, but for states that are older than the kill
def test_killed_without_warning_it_goes_on_from_its_last_state(make_job, unbroken_curve):
    job = make_job(**SETTINGS, state_every_steps=3)
    process = subprocess.Popen([sys.executable, "-m", "heartmula_studio.finetune", str(job)], cwd=REPOSITORY)
    wait_for_step(job, 4, process)
    process.kill()
    process.wait()
    train(job)
    assert loss_curve(job) == unbroken_curve


def wait_for_step(job, step: int, process) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (job / "metrics.jsonl").exists() and f'"step": {step},' in (job / "metrics.jsonl").read_text():
            return
        time.sleep(0.002)
    raise AssertionError(f"the run never reached step {step}; exit code {process.poll()}")


@pytest.mark.parametrize(("state_every_steps", "last_step"), [(2, 4), (4, 7)])
def test_a_run_cut_off_between_state_and_end_drops_the_lines_it_will_write_again(
    make_job, unbroken_curve, state_every_steps, last_step
):
    """Broken off by an error in a listener: lines newer than the state, the last of them torn, go.

    The second run has evaluated and saved its best checkpoint (after step 5) since its last state, and does so again.
    """
    job = make_job(**SETTINGS, state_every_steps=state_every_steps)

    def crash(event):
        if event.step == last_step:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        train(job, on_step=crash)
    with (job / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "st')
    train(job)
    assert loss_curve(job) == unbroken_curve
    assert read_metrics(job, "failed") == []


def test_states_and_checkpoints_are_written_no_more_often_than_needed(make_job):
    job = make_job(**SETTINGS, state_every_steps=4)
    seen = []

    def look(event):
        state = [path.name for path in (job / "state").glob("*")]
        seen.append((*state, *(path.name for path in (job / "checkpoints").glob("*"))))

    train(job, on_step=look)
    assert seen[:5] == [()] * 4 + [("step-00000004",)]
    assert seen[5:8] == [("step-00000004", "best")] * 3
    assert seen[8:] == [("step-00000008", "best")] * 2
    assert {path.name for path in (job / "checkpoints").iterdir()} == {"best", "last"}
    assert [path.name for path in (job / "state").iterdir()] == ["step-00000010"]


def test_a_complete_job_is_not_trained_again(make_job, unbroken_curve):
    job = make_job(**SETTINGS)
    first = train(job)
    assert train(job) == first
    assert loss_curve(job) == unbroken_curve
    assert len(read_metrics(job, "done")) == 1


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"epochs": 3}, {"lora": {"rank": 4}}])
def test_other_settings_do_not_continue_a_saved_state(make_job, change):
    job = make_job(**SETTINGS)
    train_until(job, 2, stop_by_file)
    changed = make_job("changed", **{**SETTINGS, **change})
    (changed / "config.json").replace(job / "config.json")
    with pytest.raises(InvalidInputError, match=next(iter(change))):
        train(job)


def test_memory_may_be_saved_from_the_next_start_on(make_job, unbroken_curve):
    job = make_job(**SETTINGS)
    train_until(job, 2, stop_by_file)
    config = TrainConfig.load(job / "config.json")
    replace(config, gradient_checkpointing=True).save(job / "config.json")
    train(job)
    assert losses(job) == pytest.approx([entry[2] for entry in unbroken_curve], abs=1e-6)


def state_at(step: int, value: float = 1.0) -> RunState:
    return RunState(RunProgress(step=step), {"w": torch.full((4,), value)}, {"optimizer": {}}, {"seed": 0})


def test_only_the_newest_state_is_kept(tmp_path):
    for step in (3, 20):
        save_state(tmp_path, state_at(step))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000020"]
    assert load_state(tmp_path).progress.step == 20


def test_a_kill_while_a_state_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    """Whatever was being written has a temporary name; it is never loaded and goes when the run does on."""
    save_state(tmp_path, state_at(3))

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", die)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path, state_at(4))
    (tmp_path / ".tmp-step-00000004-abcd_123").mkdir()
    assert load_state(tmp_path).progress.step == 3
    recover_states(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_a_kill_between_the_two_renames_of_a_state_loses_nothing(tmp_path):
    """A state is replaced by one of the same step where a run stopped at its last step is evaluated later."""
    save_state(tmp_path, state_at(3))
    (tmp_path / "step-00000003").rename(tmp_path / ".tmp-step-00000003-abcd_123-old")
    (tmp_path / ".tmp-step-00000003-abcd_123").mkdir()
    recover_states(tmp_path)
    assert load_state(tmp_path).progress.step == 3


def test_files_that_are_not_ours_disturb_nothing(tmp_path):
    strays = {".DS_Store", "step-notes.txt", ".tmp-step-by-step"}
    for name in strays:
        (tmp_path / name).write_text("")
    (tmp_path / "step-backup").mkdir()
    recover_states(tmp_path)
    assert load_state(tmp_path) is None
    for step in (1, 2):
        save_state(tmp_path, state_at(step))
    assert load_state(tmp_path).progress.step == 2
    assert {path.name for path in tmp_path.iterdir()} == strays | {"step-backup", "step-00000002"}


def test_a_checkpoint_a_killed_run_was_about_to_replace_comes_back(make_job):
    job = make_job(epochs=1)
    folder = train(job).checkpoint
    meta = (folder / "meta.json").read_text()
    folder.rename(folder.with_name(f".tmp-{folder.name}-abcd_123-old"))
    (folder.parent / f".tmp-{folder.name}-abcd_123").mkdir()
    (folder.parent / ".DS_Store").write_text("")
    train(job)
    assert (folder / "meta.json").read_text() == meta
    assert {path.name for path in folder.parent.iterdir()} == {"best", "last", ".DS_Store"}


def test_a_state_of_an_earlier_release_is_one_of_the_same_run(tmp_path):
    save_state(tmp_path, replace(state_at(3), identity={"depth_share": 0.5}))
    check_identity(load_state(tmp_path).identity, {"depth_frame_fraction": 0.5})


def test_both_states_whole_the_newer_one_counts(tmp_path):
    """Killed after the new state appeared and before the old one went."""
    save_state(tmp_path / "a", state_at(9, 0.0))
    save_state(tmp_path / "b", state_at(10, 1.0))
    (tmp_path / "a" / "step-00000009").rename(tmp_path / "b" / "step-00000009")
    assert load_state(tmp_path / "b").weights["w"].tolist() == [1.0] * 4


def test_a_damaged_state_is_named(tmp_path):
    save_state(tmp_path, state_at(3))
    weights = tmp_path / "step-00000003" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(CheckpointCorruptError, match="step-00000003"):
        load_state(tmp_path)


def test_a_pickle_in_place_of_the_optimizer_is_not_run(tmp_path):
    save_state(tmp_path, state_at(3))
    torch.save(Bomb(), tmp_path / "step-00000003" / "optimizer.pt")
    with pytest.raises(CheckpointCorruptError):
        load_state(tmp_path)


class Bomb:
    def __reduce__(self):
        return (os._exit, (42,))
