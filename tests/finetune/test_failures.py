"""What a person or a file did wrong is said in words, in the error, the log and the metrics; nothing is overwritten."""

import json
import resource
import shutil
from contextlib import ExitStack, contextmanager

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.errors import (
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
    NonFiniteLossError,
    NotFoundError,
    StorageError,
)
from heartmula_studio.finetune.__main__ import main
from heartmula_studio.finetune.checkpointing import require_finite_weights
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.data_plan import epoch_order
from heartmula_studio.finetune.events import StepEvent
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.model_setup import load_network, trainable_weights
from heartmula_studio.finetune.state import RunProgress, RunState, save_state
from tests.finetune.training_jobs import read_metrics, song_row, song_with_rare_code


def test_a_loss_that_is_no_number_names_step_and_song_and_writes_nothing(make_job, base_without_one_code):
    rows = [song_row(0, 10), song_with_rare_code(1), song_row(2, 11)]
    job = make_job(rows=rows, base_model=str(base_without_one_code), batch_size=3)
    with pytest.raises(NonFiniteLossError, match=r"step 1, on song 1\.") as caught:
        train(job)
    assert "learning_rate" in caught.value.hint
    assert not (job / "checkpoints").exists()
    assert not (job / "state").exists()
    failed = read_metrics(job)[-1]
    assert (failed["event"], failed["error"]["code"]) == ("failed", "non_finite_loss")
    assert "song 1" in (job / "logs.txt").read_text()


def test_what_was_saved_before_the_failure_stays(make_job, base_without_one_code):
    rows = [song_row(number, 10) for number in range(3)]
    last = int(epoch_order(seed=0, epoch=0, num_examples=3)[-1])
    rows[last] = song_with_rare_code(last)
    job = make_job(rows=rows, base_model=str(base_without_one_code), state_every_steps=1)
    with pytest.raises(NonFiniteLossError, match=rf"step 3, on song {last}\."):
        train(job)
    assert [path.name for path in (job / "state").iterdir()] == ["step-00000002"]


def test_a_held_out_loss_that_is_no_number_ends_the_run_as_well(make_job, base_without_one_code):
    rows = [*(song_row(i, 10) for i in range(5)), song_with_rare_code(5)]  # song 5 is the held-out one
    job = make_job(rows=rows, base_model=str(base_without_one_code))
    with pytest.raises(NonFiniteLossError, match="held-out loss is not finite after step 0, on song 5"):
        train(job)


def test_weights_that_are_no_numbers_are_never_written(base_dir):
    network = load_network(find_base(base_dir), TrainConfig(), torch.device("cpu"))
    require_finite_weights(network, step=7)
    with torch.no_grad():
        next(iter(trainable_weights(network).values()))[0, 0] = float("inf")
    with pytest.raises(NonFiniteLossError, match="After step 7, 1 weights"):
        require_finite_weights(network, step=7)


def test_missing_dataset_and_missing_base_are_named(make_job, tmp_path):
    job = make_job(dataset="elsewhere")
    with pytest.raises(NotFoundError, match="elsewhere"):
        train(job)
    assert read_metrics(job)[-1]["error"]["code"] == "not_found"
    with pytest.raises(CheckpointMissingError, match="no-such-base"):
        train(make_job("other", base_model=str(tmp_path / "no-such-base")))


def test_a_codec_of_another_model_is_refused_before_anything_is_trained(make_job, base_dir, tmp_path):
    """Generation refused the pair; training took it, for hours, and left an adapter of no use."""
    root = shutil.copytree(base_dir, tmp_path / "mixed")
    path = root / "HeartCodec-golden" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_quantizers": 4}))
    job = make_job(base_model=str(root))
    with pytest.raises(CheckpointMismatchError, match="do not belong together"):
        train(job)
    assert [line["event"] for line in read_metrics(job)] == ["failed"]


def test_tokens_of_another_codec_are_refused_before_the_first_step(make_job):
    row = song_row(0, 10)
    row["codes"][3, 4] = 4000
    job = make_job(rows=[row])
    with pytest.raises(CheckpointMismatchError, match="song 0"):
        train(job)
    assert read_metrics(job, "step") == []


def test_a_precision_the_machine_lacks_is_refused(make_job):
    if torch.cuda.is_available():
        pytest.skip("this machine can compute in fp16")
    with pytest.raises(InvalidInputError, match="fp16"):
        train(make_job(mixed_precision="fp16"))


BLOCKED = [("state", "lora"), ("checkpoints", "lora"), ("checkpoints", "full"), ("metrics.jsonl", "lora")]


@pytest.mark.parametrize(("in_the_way", "method"), BLOCKED)
def test_what_the_disk_refuses_is_named_with_what_to_do(make_job, in_the_way, method):
    job = make_job(epochs=1, method=method)
    if in_the_way == "metrics.jsonl":
        (job / in_the_way).mkdir()
    else:
        (job / in_the_way).write_text("")
    with pytest.raises(StorageError, match=in_the_way) as caught:
        train(job)
    assert "start the job again" in caught.value.hint
    assert "bug in the program" not in (job / "logs.txt").read_text()


@contextmanager
def files_limited_to(size_bytes: int):
    """Make every write beyond that many bytes of a file fail, as on a full disk.

    Lifted before the test ends: it also holds for the file that the test's own report goes to.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_disk_that_fills_up_ends_the_run_and_keeps_the_state_before(make_job):
    job, limits = make_job(state_every_steps=1), ExitStack()

    def fill_up(event: StepEvent) -> None:
        if event.step == 2:
            limits.enter_context(files_limited_to(5_000))

    with limits, pytest.raises(StorageError, match="File too large"):
        train(job, on_step=fill_up)
    assert [path.name for path in (job / "state").iterdir()] == ["step-00000001"]
    assert "File too large" in read_metrics(job)[-1]["error"]["message"]


def test_a_full_disk_has_an_exit_code_of_its_own_and_leaves_no_torn_line(make_job, capsys):
    """The exit code tells the queue even where neither log nor metrics take another byte."""
    job = make_job(epochs=1)
    with files_limited_to(100):
        assert main([str(job)]) == StorageError.exit_code
    assert "File too large" in capsys.readouterr().err
    assert (job / "metrics.jsonl").read_bytes() == b""


def test_the_reason_an_optimizer_cannot_be_written_is_kept(tmp_path):
    """Given a path, torch's writer would report a fault of its own."""
    state = RunState(RunProgress(), {"w": torch.zeros(1)}, {"moments": torch.zeros(10_000)}, {})
    with pytest.raises(OSError, match="File too large"), files_limited_to(5_000):
        save_state(tmp_path, state)


def test_a_log_on_a_full_disk_does_not_hide_what_went_wrong(make_job):
    job = make_job(epochs=1)
    (job / "logs.txt").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left on device"):
        train(job)
    assert read_metrics(job)[-1]["event"] == "failed"


@pytest.mark.parametrize("device", ["cuda", "mps", "abacus"])
def test_a_device_this_machine_lacks_is_refused(make_job, device):
    if torch.accelerator.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InvalidInputError, match=device):
        train(make_job(), device=device)


def test_training_can_be_kept_on_the_cpu(make_job):
    job = make_job(epochs=1)
    assert train(job, device="cpu").status == "completed"
    assert "steps on cpu." in (job / "logs.txt").read_text()


def test_after_a_failure_the_corrected_job_runs(make_job):
    job = make_job(schedule="linear", epochs=1)
    with pytest.raises(InvalidInputError, match="schedule"):
        train(job)
    config = json.loads((job / "config.json").read_text())
    (job / "config.json").write_text(json.dumps({**config, "schedule": "constant"}))
    assert train(job).status == "completed"
    assert read_metrics(job, "failed") == []


@pytest.mark.parametrize("folder", [".", "no-such-job"])
def test_the_worker_prints_why_it_failed_and_exits_with_the_errors_code(tmp_path, capsys, folder):
    assert main([str(tmp_path / folder)]) == InvalidInputError.exit_code
    assert capsys.readouterr().err.startswith("Error: There is no ")


def test_tokens_of_another_codec_are_refused(make_job):
    rows = [{**song_row(i, 20), "codec": "heartcodec-of-someone-else"} for i in range(6)]
    with pytest.raises(CheckpointMismatchError, match="someone-else"):
        train(make_job(rows=rows))
