"""The same numbers on every device, and in the 16 bits of older GPUs.

`HEARTMULA_TEST_DEVICE=mps pytest tests/generate/test_on_device.py` compares another device with the processor.
"""

import os
from dataclasses import replace

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base, read_heartmula_config
from heartmula_studio.arch.device import FP16
from heartmula_studio.finetune.batches import draw_batch
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.evaluate import batch_loss
from heartmula_studio.finetune.examples import load_examples
from heartmula_studio.finetune.model_setup import load_network
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest
from tests.finetune.training_jobs import song_row, write_job

OTHER = os.environ.get("HEARTMULA_TEST_DEVICE", "")
CPU = torch.device("cpu")
NANO_CODES = 64
REQUEST = SongRequest("fast, techno", duration_sec=2.0, seed=3, topk=1)
CONFIG = TrainConfig(base_model="nano", conditioning_dropout=0.0, max_window_sec=4.0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("nano", "cpu", torch.float32)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    base = find_base("nano")
    rows = [row | {"codes": row["codes"] % NANO_CODES} for row in (song_row(number, 20) for number in range(5))]
    job = write_job(tmp_path_factory.mktemp("job") / "job", rows)
    return load_examples(job / "dataset", base, read_heartmula_config(base.model), CONFIG.max_window_sec)[0]


def loss_and_gradient(examples, config: TrainConfig, device: torch.device = CPU) -> tuple[float, float]:
    """Of one batch, and the norm of the adapter's gradient."""
    network = load_network(find_base("nano"), config, device)
    batch, depth_frames = draw_batch(examples, [0, 1], 0, config, device)
    parts = batch_loss(network, batch, depth_frames)
    parts.total(parts.counts).backward()
    gradients = [p.grad.float().norm() for p in network.parameters() if p.grad is not None]
    return float(parts.total(parts.counts).detach()), float(torch.stack(gradients).norm())


def test_songs_in_the_numbers_of_older_gpus(engine):
    request = replace(REQUEST, cfg_scale=1.5)  # guidance multiplies what rounding changes
    codes = Engine.load("nano", "cpu", FP16.songs).generate(request)
    expected = engine.generate(request)
    assert codes.shape == expected.shape
    assert (codes[:, :5] == expected[:, :5]).float().mean() > 0.5  # from a near tie on, they part


@pytest.mark.parametrize("base_dtype", [FP16.frozen_base, "nf4"])
def test_training_in_the_numbers_of_older_gpus(examples, base_dtype):
    """Autocast refused bfloat16 beside fp16."""
    expected = loss_and_gradient(examples, CONFIG)
    with torch.autocast("cpu", torch.float16):
        config = replace(CONFIG, base_dtype=base_dtype, mixed_precision=FP16.training)
        found = loss_and_gradient(examples, config)
    assert found == pytest.approx(expected, rel=0.1 if base_dtype == "nf4" else 0.03)


@pytest.mark.skipif(not OTHER, reason="HEARTMULA_TEST_DEVICE names no other device")
def test_another_device_makes_the_same_song_and_sound(engine):
    other = Engine.load("nano", OTHER, torch.float32)
    codes = engine.generate(REQUEST)
    assert torch.equal(other.generate(REQUEST).cpu(), codes)
    sounds = [torch.cat([piece.cpu() for piece in one.codec.decode(codes, 1)], -1) for one in (engine, other)]
    assert (sounds[0] - sounds[1]).abs().max() < 1e-2


@pytest.mark.skipif(not OTHER, reason="HEARTMULA_TEST_DEVICE names no other device")
def test_another_device_measures_the_same_loss(examples):
    found = loss_and_gradient(examples, CONFIG, torch.device(OTHER))
    assert found == pytest.approx(loss_and_gradient(examples, CONFIG), rel=1e-3)
