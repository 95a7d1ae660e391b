"""A full fine-tune shared out over two real processes: what it computes and saves is what one process does."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.errors import CancelledError, InvalidInputError
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.state import load_state
from tests.finetune.training_jobs import (
    REPOSITORY,
    launch,
    losses,
    read_metrics,
    song_row,
    song_with_rare_code,
    start,
    write_job,
)

CONFIG = REPOSITORY / "heartmula_studio" / "finetune" / "fsdp.yaml"
# Six songs, of which one is held out, in steps of four: one process has nothing to do in the second step of an epoch,
# and in every evaluation.
SETTINGS = {
    "method": "full",
    "epochs": 3,
    "learning_rate": 1e-3,
    "conditioning_dropout": 0.5,
    "depth_frame_fraction": 0.5,
}
# In bfloat16 and with checkpointing, which both reach into the layers that come and go.
HALVES = {**SETTINGS, "mixed_precision": "bf16"}


def run_sharded(*command: str) -> subprocess.CompletedProcess:
    launcher = ["accelerate.commands.launch", "--config_file", str(CONFIG), "-m"]
    return start(*launcher, *command, ACCELERATE_USE_CPU="true")


@pytest.fixture(scope="module")
def write(tmp_path_factory, base_dir):
    """write(name, rows=None, **settings) → a job folder as make_job's, for all tests of this file."""

    def write_songs(name: str, rows: list[dict] | None = None, **settings) -> Path:
        rows = rows or [song_row(number, 10 + 3 * number) for number in range(6)]
        return write_job(tmp_path_factory.mktemp(name) / "job", rows, **{"base_model": str(base_dir), **settings})

    return write_songs


@pytest.fixture(scope="module")
def one(write):
    """A job that one process did."""
    job = write("one", batch_size=4, **SETTINGS)
    train(job)
    return job


@pytest.fixture(scope="module")
def shared_out(write, base_without_one_code):
    """Jobs by name that two processes did, one after another; all but "stopped" went on to their end."""
    rows = [song_row(0, 10), song_with_rare_code(1), song_row(2, 11)]
    jobs = {
        "halves": write("halves", batch_size=2, gradient_checkpointing=True, **HALVES),
        "resumed": write("resumed", gradient_accumulation_steps=2, **SETTINGS),
        "no number": write(
            "rare", rows, base_model=str(base_without_one_code), gradient_accumulation_steps=2, method="full"
        ),
        "lora": write("lora", epochs=1, batch_size=2),
        "stopped": write("stopped", gradient_accumulation_steps=2, **SETTINGS),
    }
    for name in ("resumed", "stopped"):
        (jobs[name] / "stop").touch()
    in_turn = [str(jobs[name]) for name in ("resumed", "resumed", "no number", "lora", "stopped")]
    done = run_sharded("tests.finetune.in_turn", *in_turn, "--shares-of", str(jobs["halves"]))
    assert f"exitcode  : {CancelledError.exit_code} " in done.stderr
    assert read_metrics(jobs["stopped"])[-1]["event"] == "stopped"
    return jobs


@pytest.mark.long
def test_stopped_shared_out_and_resumed_whole_it_gives_the_curve_of_one_process(shared_out, one):
    """What is saved does not depend on sharding, so either way continues what the other began."""
    job = shared_out["stopped"]
    whole = launch(job, "--cpu", "--num_processes", "2")
    assert whole.returncode == 0, whole.stderr
    assert losses(job) == pytest.approx(losses(one), abs=1e-5)


@pytest.mark.long
def test_stopped_and_resumed_shared_out_it_leaves_what_one_process_leaves(shared_out, one):
    job = shared_out["resumed"]
    assert len(losses(job)) == 6 + 4
    assert losses(job) == pytest.approx(losses(one), abs=1e-5)
    assert_same_tensors(load_heartmula(job / "checkpoints" / "last").state_dict(), load_state(one / "state").weights)
    assert_same_tensors(
        load_file(job / "checkpoints" / "best" / "model.safetensors"),
        load_file(one / "checkpoints" / "best" / "model.safetensors"),
    )
    states = [load_state(folder / "state") for folder in (job, one)]
    assert_same_tensors(*(state.weights for state in states))
    optimizers = [state.optimizer["optimizer"] for state in states]
    assert optimizers[0]["param_groups"] == optimizers[1]["param_groups"]
    for number, moments in optimizers[1]["state"].items():
        assert_same_tensors(optimizers[0]["state"][number], moments)


def assert_same_tensors(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.long
def test_each_process_holds_half_of_weights_and_moments(shared_out, make_job, one):
    job, whole = shared_out["halves"], make_job(batch_size=4, **HALVES)
    for process in range(2):
        shares = json.loads((job / f"share-{process}.json").read_text())
        assert shares == pytest.approx({"weights": 0.5, "moments": 0.5}, abs=0.05)
    train(whole)
    assert losses(job) == pytest.approx(losses(whole), abs=5e-3)
    assert losses(job) != pytest.approx(losses(one), abs=1e-4)  # which was in float32


@pytest.mark.long
def test_a_loss_that_is_no_number_is_traced_to_its_song(shared_out):
    error = read_metrics(shared_out["no number"])[-1]["error"]
    assert error["code"] == "non_finite_loss"
    assert "step 1, on song 1." in error["message"]


@pytest.mark.long
def test_a_lora_is_trained_as_without_sharding(shared_out, make_job):
    one = make_job(epochs=1, batch_size=4)
    train(one)
    assert losses(shared_out["lora"]) == pytest.approx(losses(one), abs=1e-5)


@pytest.mark.parametrize(
    ("version", "reshard", "message"), [("1", "FULL_SHARD", "FSDP 1"), ("2", "FULL_SHARD", "FULL_SHARD")]
)
def test_other_configurations_are_refused(make_job, monkeypatch, version, reshard, message):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", version)
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", reshard)
    with pytest.raises(InvalidInputError, match=f"(?i){message}") as caught:
        train(make_job(method="full"))
    assert "fsdp.yaml" in caught.value.hint
