import errno
import json
from pathlib import Path

import pytest

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.finetune.config import TRANSFORMER_LINEARS, LoraSettings, TrainConfig


def test_defaults_are_those_promised():
    config = TrainConfig()
    assert (config.method, config.epochs, config.learning_rate, config.conditioning_dropout) == ("lora", 3, 1e-4, 0.1)
    assert (config.lora.rank, config.lora.target_modules) == (8, TRANSFORMER_LINEARS)


def test_survives_a_round_trip_through_json(tmp_path):
    config = TrainConfig(lora=LoraSettings(rank=4, target_modules=("q_proj",), use_dora=True), max_steps=7)
    config.save(tmp_path / "config.json")
    assert TrainConfig.load(tmp_path / "config.json") == config


def test_a_file_of_an_earlier_release_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"depth_share": 0.25}))
    assert TrainConfig.load(tmp_path / "config.json") == TrainConfig(depth_frame_fraction=0.25)


def test_saving_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    TrainConfig().save(path)

    def fail(file: Path, text: str, **kwargs) -> None:
        file.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="No space"):
        TrainConfig(epochs=7).save(path)
    assert TrainConfig.load(path) == TrainConfig()
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({"method": "dreambooth"}, "lora, full"),
        ({"epochs": 0}, "between 1"),
        ({"epochs": 1.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"learning_rate": 2.0}, "and 1"),
        ({"learning_rate": float("nan")}, "between"),
        ({"learning_rate": "fast"}, "number"),
        ({"depth_frame_fraction": 0}, "between"),
        ({"conditioning_dropout": 1.1}, "between 0 and 1"),
        ({"mixed_precision": "fp8"}, "no, bf16, fp16"),
        ({"schedule": "linear"}, "cosine, constant"),
        ({"max_steps": 0}, "between 1"),
        ({"seed": -1}, "between 0"),
        ({"method": "full", "base_dtype": "nf4"}, "bfloat16"),
        ({"method": "full", "base_dtype": "bfloat16", "mixed_precision": "fp16"}, "bf16"),
        ({"base_dtype": "nf4", "lora": {"use_dora": True}}, "no DoRA"),
        ({"lora": {"rank": 0}}, "between 1"),
        ({"lora": {"target_modules": []}}, "q_proj"),
        ({"lora": {"target_modules": ["audio_head"]}}, "q_proj"),
        ({"lora": {"target_modules": "q_proj"}}, "list of names"),
        ({"lora": {"r": 8}}, "rank"),
        ({"lora": 8}, "object"),
        ({"learningrate": 1e-4}, "learning_rate"),
    ],
)
def test_wrong_values_are_refused_with_what_is_allowed(values, allowed):
    with pytest.raises(InvalidInputError) as caught:
        TrainConfig.from_dict(values)
    assert allowed in caught.value.hint
    name = next(iter(values))
    assert name in caught.value.message or "full fine-tune" in caught.value.message


def test_a_missing_or_broken_file_is_named(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(NotFoundError, match="config.json"):
        TrainConfig.load(path)
    path.write_text("{epochs: 3}")
    with pytest.raises(InvalidInputError, match=r"config\.json is not JSON"):
        TrainConfig.load(path)
    path.write_text(json.dumps([1]))
    with pytest.raises(InvalidInputError, match="object"):
        TrainConfig.load(path)


@pytest.mark.parametrize(
    ("total_steps", "rungs", "steps"),
    [
        (100, 5, (20, 40, 60, 80, 100)),
        (36, 5, (7, 14, 22, 29, 36)),
        (3, 5, (1, 2, 3)),
        (900, 1, (900,)),
        (9, 0, ()),
        (0, 5, ()),
    ],
)
def test_rungs_are_evenly_spaced_and_end_at_the_last_step(total_steps, rungs, steps):
    assert TrainConfig(ladder_rungs=rungs).rung_steps(total_steps) == steps
    assert TrainConfig(ladder_rungs=rungs, method="full").rung_steps(total_steps) == ()
