"""A full fine-tune of weights in 16 bits: the losses of float32, in a quarter of the memory, resumed bit for bit."""

import pytest
import torch
from safetensors.torch import load_file

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.costs.memory import optimizer_bytes, state_bytes, tensor_shapes
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.model_setup import load_network, trainable_weights
from heartmula_studio.finetune.setup import make_optimizer
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.full_weights import check_full
from tests.finetune.training_jobs import loss_curve, losses, read_metrics, write_job

SIXTEEN = {"method": "full", "base_dtype": "bfloat16"}
SETTINGS = {"base_model": "nano", "method": "full", "max_steps": 4, "learning_rate": 1e-3, "batch_size": 2}


@pytest.fixture(scope="module")
def jobs(songs, tmp_path_factory) -> dict[str, tuple]:
    """The same training of weights in float32 and in bfloat16: its folder and its result."""
    folder = tmp_path_factory.mktemp("jobs")
    made = {dtype: write_job(folder / dtype, songs, base_dtype=dtype, **SETTINGS) for dtype in ("float32", "bfloat16")}
    return {dtype: (job, train(job)) for dtype, job in made.items()}


def test_the_losses_are_nearly_those_in_float32(jobs):
    full, sixteen = (losses(jobs[dtype][0]) for dtype in ("float32", "bfloat16"))
    assert sixteen == pytest.approx(full, rel=0.02)
    assert sixteen != full
    assert full[-1] < 0.95 * full[0]


def test_the_norms_of_its_gradients_are_nearly_those_in_float32(jobs):
    full, sixteen = ([line["grad_norm"] for line in read_metrics(jobs[dtype][0], "step")] for dtype in jobs)
    assert sixteen == pytest.approx(full, rel=0.05)


def test_its_checkpoint_is_a_base_in_16_bits(jobs):
    """As the weights are, whatever `save_dtype` says: twice the room would hold nothing more."""
    folder = jobs["bfloat16"][1].checkpoint
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    check_full(folder, describe_base(find_base("nano")))


def test_its_state_takes_as_much_as_was_foreseen(jobs):
    (state,) = (jobs["bfloat16"][0] / "state").iterdir()
    shapes, config = tensor_shapes(find_base("nano").model), TrainConfig(**SIXTEEN)
    assert size_of(state) == pytest.approx(state_bytes(shapes, config), rel=0.01)
    (in_float32,) = (jobs["float32"][0] / "state").iterdir()
    assert size_of(state) < 0.36 * size_of(in_float32)


def size_of(folder) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_its_moments_take_as_much_as_was_foreseen():
    config, base = TrainConfig(base_model="nano", **SIXTEEN), find_base("nano")
    network = load_network(base, config, torch.device("cpu"))
    optimizer = make_optimizer(network, config)
    sum(weights.float().sum() for weights in network.parameters()).backward()
    optimizer.step()
    held = sum(value.nbytes for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value))
    assert isinstance(network, HeartMuLa)
    assert held == optimizer_bytes(tensor_shapes(base.model), config)
    assert {weights.dtype for weights in trainable_weights(network).values()} == {torch.bfloat16}


def test_small_updates_are_not_lost(make_job):
    """Each is a small part of what bfloat16 tells apart: rounded to the nearest, next to nothing would be learnt."""
    settings = {"learning_rate": 3e-5, "schedule": "constant", "warmup_ratio": 0.0, "conditioning_dropout": 0.0}
    fallen = {}
    for dtype in ("float32", "bfloat16"):
        job = make_job(dtype, num_songs=1, method="full", base_dtype=dtype, epochs=15, **settings)
        train(job)
        fallen[dtype] = losses(job)[0] - losses(job)[-1]
    assert fallen["bfloat16"] == pytest.approx(fallen["float32"], rel=0.1)


def test_stopped_and_resumed_the_curve_is_the_same(make_job):
    settings = {
        **SIXTEEN,
        "learning_rate": 1e-3,
        "conditioning_dropout": 0.5,
        "depth_frame_fraction": 0.5,
        "gradient_accumulation_steps": 2,
    }
    whole, broken = make_job("whole", **settings), make_job("broken", **settings)
    train(whole)
    stopped = train(broken, on_step=lambda event: (broken / "stop").touch() if event.step == 2 else None)
    assert (stopped.status, stopped.step) == ("stopped", 3)
    train(broken)
    assert loss_curve(broken) == loss_curve(whole)
    name = "checkpoints/last/model.safetensors"
    assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_accumulated_micro_batches_are_nearly_one_big_batch(make_job):
    settings = {**SIXTEEN, "learning_rate": 1e-3, "epochs": 3}
    jobs = [make_job("whole", batch_size=3, **settings), make_job("parts", gradient_accumulation_steps=3, **settings)]
    for job in jobs:
        train(job)
    assert losses(jobs[1]) == pytest.approx(losses(jobs[0]), rel=0.01)


def test_gradient_checkpointing_changes_memory_and_not_the_curve(make_job):
    jobs = [make_job(f"{on}", gradient_checkpointing=on, learning_rate=1e-3, **SIXTEEN) for on in (False, True)]
    for job in jobs:
        train(job)
    assert losses(jobs[1]) == pytest.approx(losses(jobs[0]), rel=1e-3)


def test_gradients_are_clipped(make_job):
    """Beside a limit this low, Adam's epsilon is large: little is learnt."""
    last = {}
    for limit in (1.0, 1e-6):
        job = make_job(f"{limit}", num_songs=1, max_grad_norm=limit, epochs=6, learning_rate=3e-3, **SIXTEEN)
        train(job)
        last[limit] = losses(job)[-1]
    assert last[1e-6] > 1.5 * last[1.0]
