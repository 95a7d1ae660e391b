"""Training settings by the flat names that people type."""

from dataclasses import replace

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.flat_settings import with_settings


def test_settings_reach_the_config_and_its_lora():
    config = with_settings(TrainConfig(), {"epochs": 7, "lora_dropout": 0.2, "max_steps": None})
    assert (config.epochs, config.lora.dropout, config.lora.rank, config.max_steps) == (7, 0.2, 8, None)


def test_alpha_follows_the_rank_unless_it_is_given():
    assert with_settings(TrainConfig(), {"lora_rank": 32}).lora.alpha == 64
    assert with_settings(TrainConfig(), {"lora_rank": 32, "lora_alpha": 8}).lora.alpha == 8


def test_the_rank_that_it_has_already_leaves_alpha_alone():
    config = TrainConfig(lora=LoraSettings(rank=16, alpha=16.0))
    assert with_settings(config, {"lora_rank": 16, "epochs": 9}) == replace(config, epochs=9)


def test_another_method_comes_with_what_it_needs():
    in_four_bits = TrainConfig(base_dtype="nf4")
    assert with_settings(in_four_bits, {"base_dtype": "bfloat16"}, "full").is_full_in_16_bits


@pytest.mark.parametrize("name", ["depth_share", "depth_frame_fraction"])
def test_a_setting_is_known_by_the_name_it_had(name):
    assert with_settings(TrainConfig(), {name: 0.5}) == TrainConfig(depth_frame_fraction=0.5)
    with pytest.raises(InvalidInputError, match="same setting"):
        with_settings(TrainConfig(), {"depth_share": 0.5, "depth_frame_fraction": 0.5})


@pytest.mark.parametrize("name", ["rank", "base_model", "dataset", "method", "lora"])
def test_other_names_are_refused_with_the_allowed_ones(name):
    with pytest.raises(InvalidInputError, match="lora_rank") as caught:
        with_settings(TrainConfig(), {name: 1})
    assert name in caught.value.message


def test_values_outside_the_limits_are_refused():
    with pytest.raises(InvalidInputError, match=r"lora\.rank is 0"):
        with_settings(TrainConfig(), {"lora_rank": 0})
