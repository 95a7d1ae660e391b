import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
)
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_files import AdapterDescription, describe_adapter
from heartmula_studio.generate.base_model import BaseModel

GOLDEN = Path(__file__).parent.parent / "golden"
KINDS = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"w1": 3}, "target_modules": ["q_proj", "w1"]},
    "mixture": {"use_rslora": True, "use_dora": True, "rank_pattern": {r"layers\.0\..*": 6}},
    "heads": {"target_modules": ["codebook0_head", "projection", "muq_linear"], "use_dora": True},
}


def described(folder: Path, model: nn.Module) -> AdapterDescription:
    return describe_adapter(folder, BaseModel.of(model, ""))


def attached(model: nn.Module, folder: Path) -> Adapter:
    return Adapter(model, described(folder, model))


@pytest.fixture(params=KINDS)
def folder(request, save_adapter):
    return save_adapter(**KINDS[request.param])


def test_logits_are_those_of_peft_alone(forced_logits, uncached_logits, folder):
    ours, theirs = (load_heartmula(GOLDEN / "heartmula") for _ in range(2))
    attached(ours, folder).set_strength(1.0)
    expected = uncached_logits(PeftModel.from_pretrained(theirs, folder).get_base_model())
    torch.testing.assert_close(forced_logits(ours), expected, atol=4e-5, rtol=0)
    torch.testing.assert_close(uncached_logits(ours), expected, atol=4e-6, rtol=0)


def test_on_a_bfloat16_base_they_are_about_as_exact_as_those_of_peft(forced_logits, uncached_logits, folder):
    """Both against the same weights in float32."""
    ours, theirs, exact = (load_heartmula(GOLDEN / "heartmula", dtype=torch.bfloat16) for _ in range(3))
    attached(ours, folder).set_strength(1.0)
    with_peft = PeftModel.from_pretrained(theirs, folder).get_base_model()
    expected = uncached_logits(PeftModel.from_pretrained(exact.float(), folder).get_base_model())
    error = (forced_logits(ours) - expected).square().mean()
    assert error < 1.5 * (uncached_logits(with_peft) - expected).square().mean()


def test_strength_0_and_detaching_give_the_base_bit_for_bit(golden_heartmula, forced_logits, folder):
    base = forced_logits(golden_heartmula)
    modules = list(golden_heartmula.modules())
    adapter = attached(golden_heartmula, folder)
    adapter.set_strength(1.0)
    assert (forced_logits(golden_heartmula) - base).abs().max() > 1e-2
    adapter.set_strength(0.0)
    assert torch.equal(forced_logits(golden_heartmula), base)
    adapter.set_strength(2.0)
    adapter.detach()
    assert torch.equal(forced_logits(golden_heartmula), base)
    assert all(now is before for now, before in zip(golden_heartmula.modules(), modules, strict=True))


def test_a_small_strength_is_near_the_base_and_strength_comes_back_exactly(golden_heartmula, forced_logits, folder):
    base = forced_logits(golden_heartmula)
    adapter = attached(golden_heartmula, folder)
    tuned = forced_logits(golden_heartmula)
    adapter.set_strength(1e-4)
    assert 0 < (forced_logits(golden_heartmula) - base).abs().max() < 1e-2
    adapter.set_strength(1.0)
    assert torch.equal(forced_logits(golden_heartmula), tuned)


def test_strength_scales_the_change_of_the_weights(golden_heartmula, save_adapter):
    """On one linear layer the change is proportional to the strength, for LoRA exactly."""
    layer = "backbone.layers.0.attn.q_proj"
    x = torch.randn(5, 96, generator=torch.Generator().manual_seed(0))
    base = golden_heartmula.get_submodule(layer)(x)
    adapter = attached(golden_heartmula, save_adapter())
    changes = {}
    for strength in (0.5, 1.0, 2.0):
        adapter.set_strength(strength)
        changes[strength] = golden_heartmula.get_submodule(layer)(x) - base
    torch.testing.assert_close(changes[0.5] * 4, changes[2.0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(changes[1.0] * 2, changes[2.0], atol=1e-6, rtol=1e-5)


def test_layers_changed_counts_those_with_an_effect(golden_heartmula, save_adapter):
    folder = save_adapter()
    weights = load_file(folder / "adapter_model.safetensors")
    weights["base_model.model.backbone.layers.0.mlp.w1.lora_B.weight"].zero_()
    save_file(weights, folder / "adapter_model.safetensors")
    assert attached(golden_heartmula, folder).layers_changed == 5 * 7 - 1


def test_a_good_folder_passes_the_check(golden_heartmula, folder):
    described(folder, golden_heartmula)


def rewrite_config(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments")
@pytest.mark.parametrize(
    "changes",
    [
        {"modules_to_save": ["codebook0_head"]},
        {"bias": "all"},
        {"init_lora_weights": "pissa"},
        {"layer_replication": [[0, 2]]},
        {"peft_type": "IA3"},
    ],
)
def test_anything_but_plain_lora_is_refused(golden_heartmula, save_adapter, changes):
    folder = save_adapter()
    rewrite_config(folder, **changes)
    with pytest.raises(CheckpointMismatchError, match="Plain LoRA"):
        described(folder, golden_heartmula)


def test_pickled_weights_are_refused(golden_heartmula, save_adapter):
    folder = save_adapter()
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="pickle"):
        described(folder, golden_heartmula)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_missing_or_damaged_file_is_named(golden_heartmula, save_adapter, name):
    folder = save_adapter()
    path = folder / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointCorruptError, match=name):
        described(folder, golden_heartmula)
    path.unlink()
    with pytest.raises(CheckpointMissingError, match=name):
        described(folder, golden_heartmula)


def test_another_bases_adapter_is_refused_with_its_first_wrong_layer(golden_heartmula, tmp_path):
    small = nn.ModuleDict({"backbone": nn.ModuleDict({"q_proj": nn.Linear(8, 8)})})
    get_peft_model(small, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"backbone\.q_proj.*no such layer"):
        described(tmp_path, golden_heartmula)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
@pytest.mark.parametrize(
    "changes", [{"r": 5}, {"target_modules": ["q_proj", "codebook0_head"]}, {"target_modules": ["x"]}]
)
def test_files_that_contradict_each_other_leave_the_model_as_it_was(
    golden_heartmula, forced_logits, save_adapter, changes
):
    base = forced_logits(golden_heartmula)
    folder = save_adapter()
    rewrite_config(folder, **changes)
    with pytest.raises(CheckpointMismatchError, match="do not belong together"):
        attached(golden_heartmula, folder)
    assert torch.equal(forced_logits(golden_heartmula), base)
    attached(golden_heartmula, save_adapter("good"))


def test_values_that_are_not_numbers_are_refused(golden_heartmula, forced_logits, save_adapter):
    base = forced_logits(golden_heartmula)
    folder = save_adapter()
    weights = load_file(folder / "adapter_model.safetensors")
    weights["base_model.model.backbone.layers.0.mlp.w1.lora_B.weight"][0, 0] = torch.nan
    save_file(weights, folder / "adapter_model.safetensors")
    with pytest.raises(CheckpointCorruptError, match="not numbers"):
        attached(golden_heartmula, folder)
    assert torch.equal(forced_logits(golden_heartmula), base)


@pytest.mark.parametrize(
    "changes",
    [
        {"r": "8"},
        {"r": None},
        {"target_modules": 5},
        {"target_modules": "("},
        {"rank_pattern": {"(": 4}},
        {"lora_alpha": None},
        {"lora_alpha": "8"},
        {"lora_alpha": float("nan")},
        {"lora_dropout": "none"},
        {"r": [4]},
        {"target_modules": {"q_proj": 1}, "exclude_modules": 7},
        {"layers_to_transform": "all"},
        {"peft_type": ["LORA"]},
    ],
)
@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments")
@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_a_setting_of_a_wrong_type_is_refused_with_the_files_name(
    golden_heartmula, forced_logits, save_adapter, changes
):
    base = forced_logits(golden_heartmula)
    folder = save_adapter()
    rewrite_config(folder, **changes)
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        attached(golden_heartmula, folder)
    assert torch.equal(forced_logits(golden_heartmula), base)
    attached(golden_heartmula, save_adapter("good"))
