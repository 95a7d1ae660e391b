"""What an installation does by default."""

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.generate.runtime import Runtime, learning_rate_for


@pytest.mark.parametrize(("width", "rate"), [(3072, 1e-4), (256, 1.2e-3), (4096, 7.5e-5), (700, 4.4e-4)])
def test_the_learning_rate_of_a_lora_falls_with_the_width_of_the_base_and_is_short(width, rate):
    assert learning_rate_for("lora", width) == rate


@pytest.mark.parametrize(("device", "on_gpu"), [("cpu", False), ("cuda", True)])
def test_a_gpu_trains_in_bfloat16_and_recomputes(device, on_gpu):
    runtime = Runtime("nano", find_base("nano"), torch.device(device), AudioLimits(), 240.0)
    config = runtime.train_config("lora")
    assert config.gradient_checkpointing == on_gpu
    assert (config.mixed_precision, config.base_dtype) == (("bf16", "bfloat16") if on_gpu else ("no", "float32"))
    assert runtime.train_config("full").base_dtype == "float32"


@pytest.mark.parametrize("width", [3072, 256])
def test_a_full_fine_tune_keeps_the_trainers_learning_rate(width):
    assert learning_rate_for("full", width) == TrainConfig().learning_rate
