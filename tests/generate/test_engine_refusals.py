"""Styles that cannot be used: the engine stays as it was, able to sing."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
)
from heartmula_studio.generate.adapter_files import WEIGHTS_FILE
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.request import SongRequest

REQUEST = SongRequest(duration_sec=1.0, seed=5)


@pytest.fixture
def fragile_engine(base_folder, tmp_path) -> Engine:
    """An engine whose base folder a test may damage."""
    return Engine.load(shutil.copytree(base_folder, tmp_path / "base"), device="cpu")


@pytest.mark.parametrize("how", ["gone", "empty", "another"])
def test_a_base_that_cannot_be_read_again_is_owed_until_it_can(fragile_engine, forced_logits, save_full, how):
    base = forced_logits(fragile_engine.model)
    full = save_full()
    fragile_engine.activate(full)
    weights = fragile_engine.base.model / "model.safetensors"
    kept = weights.rename(weights.with_name("kept"))
    if how == "empty":
        weights.touch()
    elif how == "another":
        shutil.copy(full / "model.safetensors", weights)
    with pytest.raises(CheckpointError, match=r"HeartMuLa-golden"):
        fragile_engine.deactivate()
    assert fragile_engine.active is None
    with pytest.raises(CheckpointError, match=r"HeartMuLa-golden"):
        fragile_engine.generate(REQUEST)
    kept.rename(weights)
    fragile_engine.generate(REQUEST)
    assert torch.equal(forced_logits(fragile_engine.model), base)


def test_a_failed_change_of_style_goes_back_only_to_what_is_still_there(
    fragile_engine, forced_logits, save_full, save_adapter
):
    """The base cannot be read for the new style, nor the full checkpoint before it, until both are back."""
    base = forced_logits(fragile_engine.model)
    full, adapter = save_full(), save_adapter()
    fragile_engine.activate(full)
    weights = fragile_engine.base.model / "model.safetensors"
    kept = weights.rename(weights.with_name("kept"))
    shutil.rmtree(full)
    with pytest.raises(CheckpointError, match="No style is active"):
        fragile_engine.activate(adapter)
    assert fragile_engine.active is None
    kept.rename(weights)
    fragile_engine.activate(adapter)
    assert fragile_engine.active.style.id == "style"
    fragile_engine.deactivate()
    assert torch.equal(forced_logits(fragile_engine.model), base)


def test_a_style_that_fails_late_leaves_none_where_the_previous_one_is_gone(engine, logits, save_adapter):
    base = logits()
    good, bad = save_adapter("good"), save_adapter("bad", seed=1)
    engine.activate(good)
    shutil.rmtree(good)
    damage(bad, "not numbers")
    with pytest.raises(CheckpointError, match=r"not numbers.*good.*No style is active"):
        engine.activate(bad)
    assert engine.active is None
    assert torch.equal(logits(), base)


def damage(folder: Path, how: str) -> type[CheckpointError]:
    """Spoils an adapter folder in one way; returns the error that must follow."""
    weights = folder / "adapter_model.safetensors"
    meta = {"base_model": {"name": "another", "fingerprint": "0123456789abcdef"}}
    match how:
        case "another base":
            (folder / "meta.json").write_text(json.dumps(meta))
            return CheckpointMismatchError
        case "other shapes":
            tensors = {name: tensor[:, :-1].contiguous() for name, tensor in load_file(weights).items()}
            save_file(tensors, weights)
            return CheckpointMismatchError
        case "contradiction":
            config = json.loads((folder / "adapter_config.json").read_text())
            (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 3}))
            return CheckpointMismatchError
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
            return CheckpointCorruptError
        case "not numbers":
            save_file({name: tensor.log() for name, tensor in load_file(weights).items()}, weights)
            return CheckpointCorruptError
        case "pickle":
            weights.rename(folder / "adapter_model.bin")
            return CheckpointError
        case "gone":
            shutil.rmtree(folder)
            return CheckpointMissingError
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how", ["another base", "other shapes", "contradiction", "truncated", "not numbers", "pickle", "gone"]
)
@pytest.mark.parametrize("before", ["base", "lora", "full"])
def test_a_style_that_does_not_fit_leaves_the_engine_as_it_was(engine, logits, save_adapter, save_full, how, before):
    if before != "base":
        engine.activate(save_adapter("good") if before == "lora" else save_full("good"))
    active, expected = engine.active, logits()
    bad = save_adapter("bad", seed=1)
    with pytest.raises(damage(bad, how)):
        engine.activate(bad)
    assert engine.active == active
    assert torch.equal(logits(), expected)


def test_a_full_checkpoint_of_another_size_or_without_numbers_is_refused(engine, logits, save_full):
    base = logits()
    folder = save_full()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"audio_vocab_size": 200}))
    with pytest.raises(CheckpointMismatchError, match="sizes"):
        engine.activate(folder)
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if name != "audio_head"}, folder / "model.safetensors")
    with pytest.raises(CheckpointMismatchError, match="audio_head"):
        engine.activate(folder)
    weights["text_embeddings.weight"].fill_(torch.inf)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointCorruptError, match="not numbers"):
        engine.activate(folder)
    assert engine.active is None
    assert torch.equal(logits(), base)


@pytest.fixture
def vanishing(tmp_path, engine) -> Path:
    """A DoRA of good values which at a strength of 1 make a row of the base's weight 0, whose norm it divides by."""
    layer, folder = "backbone.layers.0.mlp.w2", tmp_path / "vanishing"
    folder.mkdir()
    row = engine.model.get_submodule(layer).weight[:1].clone()
    up = torch.zeros(engine.model.get_submodule(layer).out_features, 1)
    up[0] = -1
    parts = {"lora_A.weight": row, "lora_B.weight": up, "lora_magnitude_vector": torch.ones(len(up))}
    save_file({f"base_model.model.{layer}.{part}": value for part, value in parts.items()}, folder / WEIGHTS_FILE)
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "use_dora": True, "target_modules": [layer]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("before", ["base", "lora"])
def test_a_style_that_the_model_cannot_go_on_with_is_taken_off_again(engine, logits, save_adapter, vanishing, before):
    """**P**: whatever is activated has been applied, and its logits are numbers."""
    if before == "lora":
        engine.activate(save_adapter("good"))
    active, expected = engine.active, logits()
    with pytest.raises(CheckpointCorruptError, match=r"vanishing.*not a number"):
        engine.activate(vanishing)
    assert engine.active == active
    assert torch.equal(logits(), expected)


def test_a_strength_that_the_model_cannot_go_on_with_is_taken_back(engine, logits, vanishing):
    engine.activate(vanishing, strength=0.5)
    expected = logits()
    with pytest.raises(CheckpointCorruptError, match="not a number"):
        engine.set_strength(1.0)
    assert engine.active.strength == 0.5
    assert torch.equal(logits(), expected)
