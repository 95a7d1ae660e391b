"""What an installation does by default."""

import pytest

from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.generate.runtime import learning_rate_for


@pytest.mark.parametrize(("width", "rate"), [(3072, 1e-4), (256, 1.2e-3), (4096, 7.5e-5), (700, 4.4e-4)])
def test_the_learning_rate_of_a_lora_falls_with_the_width_of_the_base_and_is_short(width, rate):
    assert learning_rate_for("lora", width) == rate


@pytest.mark.parametrize("width", [3072, 256])
def test_a_full_fine_tune_keeps_the_trainers_learning_rate(width):
    assert learning_rate_for("full", width) == TrainConfig().learning_rate
