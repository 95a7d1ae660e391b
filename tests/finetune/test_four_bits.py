"""Training on a base in four bits: nearly the same losses, and adapters that fit the base as it is."""

import pytest
import torch
from safetensors.torch import load_file

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.finetune.costs.memory import stored_bytes, tensor_shapes
from heartmula_studio.finetune.job import train
from heartmula_studio.finetune.model_setup import load_base
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from tests.finetune.training_jobs import losses, write_job

SETTINGS = {"base_model": "nano", "max_steps": 4, "learning_rate": 1e-3, "batch_size": 3}


@pytest.fixture(scope="module")
def jobs(songs, tmp_path_factory) -> dict[str, tuple]:
    """The same training on bases in float32 and in four bits: its folder and its result."""
    folder = tmp_path_factory.mktemp("jobs")
    made = {dtype: write_job(folder / dtype, songs, base_dtype=dtype, **SETTINGS) for dtype in ("float32", "nf4")}
    return {dtype: (job, train(job)) for dtype, job in made.items()}


def test_the_losses_are_nearly_those_of_the_base_as_it_is(jobs):
    as_it_is, four_bits = (losses(jobs[dtype][0]) for dtype in ("float32", "nf4"))
    assert four_bits == pytest.approx(as_it_is, rel=0.02)
    assert four_bits != as_it_is


def test_it_learns(jobs):
    result = jobs["nf4"][1]
    assert result.eval_loss < result.initial_loss


def test_its_adapter_makes_songs_on_the_base_as_it_is(jobs):
    _, result = jobs["nf4"]
    weights = load_file(result.checkpoint / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    engine = Engine.load("nano", "cpu")
    request = SongRequest("techno", duration_sec=1.0)
    base = engine.generate(request)
    engine.activate(result.checkpoint, strength=2.0)
    assert not torch.equal(engine.generate(request), base)


def test_it_goes_on_where_it_was_stopped(songs, jobs, tmp_path):
    whole, _ = jobs["nf4"]
    job = write_job(tmp_path / "job", songs, base_dtype="nf4", **SETTINGS)
    stopped = train(job, on_step=lambda event: (job / "stop").touch() if event.step == 1 else None)
    assert stopped.status == "stopped"
    train(job)
    assert losses(job) == losses(whole)


def test_the_base_takes_as_much_as_was_foreseen():
    base = find_base("nano")
    model = load_base(base, "nf4", torch.device("cpu"))
    foreseen = sum(stored_bytes(name, shape, "nf4") for name, shape in tensor_shapes(base.model).items())
    assert sum(map(real_bytes, model.parameters())) == pytest.approx(foreseen, rel=0.01)


def real_bytes(tensor: torch.Tensor) -> int:
    if not hasattr(tensor, "__tensor_flatten__"):
        return tensor.nbytes
    names, _ = tensor.__tensor_flatten__()
    return sum(getattr(tensor, name).nbytes for name in names)
