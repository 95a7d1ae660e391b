"""Adapters as other tools, other versions of PEFT and strangers write them: applied as PEFT would, or refused by name.

Each case changes one thing of a plain adapter, so what is described and read of both can be compared.
"""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.errors import CheckpointCorruptError, CheckpointError, CheckpointMismatchError
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_config import KNOWN_SETTINGS
from heartmula_studio.generate.adapter_files import check_adapter_values, describe_adapter, read_layers
from heartmula_studio.generate.base_model import BaseModel

GOLDEN = Path(__file__).parent.parent / "golden"
Q_PROJ = "backbone.layers.0.attn.q_proj"
W1 = "backbone.layers.1.mlp.w1"
PREFIX = "base_model.model."
TARGETS = [Q_PROJ, W1]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModel.of(load_heartmula(GOLDEN / "heartmula"), "")


@pytest.fixture
def folder(tmp_path, base) -> Path:
    """A plain adapter of two layers, as PEFT writes it."""
    tmp_path = tmp_path / "style"
    tmp_path.mkdir()
    generator, weights = torch.Generator().manual_seed(0), {}
    for layer in TARGETS:
        out, width = base.linear_layers[layer]
        weights[f"{PREFIX}{layer}.lora_A.weight"] = torch.randn(4, width, generator=generator)
        weights[f"{PREFIX}{layer}.lora_B.weight"] = torch.randn(out, 4, generator=generator)
    save_file(weights, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": TARGETS, "bias": "none"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    return tmp_path


def configure(folder: Path, **settings) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path)


def values_of(folder: Path, base: BaseModel) -> dict[str, tuple]:
    """All that is applied: for each layer its scale and its tensors."""
    adapter = describe_adapter(folder, base)
    read = read_layers(adapter, "cpu")
    return {name: (adapter.layers[name].scale, tensors.down.tolist(), tensors.up.tolist()) for name, tensors in read}


@pytest.mark.parametrize(
    "settings",
    [
        {"task_type": "CAUSAL_LM"},
        {"task_type": "SEQ_2_SEQ_LM"},
        {"task_type": "A_TASK_OF_TOMORROW"},
        {"modules_to_save": []},
        {"modules_to_save": None, "target_parameters": []},
        {"bias": "lora_only"},
        {"fan_in_fan_out": True},
        {"init_lora_weights": "orthogonal"},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}},
        {"init_lora_weights": "mica"},
        {"init_lora_weights": False},
        {"target_modules": r"backbone\..*\.(0\.attn\.q_proj|1\.mlp\.w1)"},
        {"target_modules": r"(?!decoder).*\.(0\.attn\.q_proj|1\.mlp\.w1)"},
        {"target_modules": "all-linear"},
        {"target_modules": [*TARGETS, "lm_head"], "exclude_modules": ["decoder"]},
        {"rank_pattern": {"q_proj": 4, "w1": 4}, "r": 16, "alpha_pattern": {"q_proj": 8, "w1": 8}, "lora_alpha": 1},
        {"rank_pattern": {r"layers\.[01]\..*": 4}, "r": 16},
        {"lora_alpha": 8.0, "lora_dropout": 0.1, "layers_to_transform": [0, 1], "layers_pattern": ["layers"]},
        {"target_modules": ["q_proj", "w1"], "exclude_modules": r"decoder.*|.*\.[12]\.attn.*|.*\.[02]\.mlp.*"},
        {"use_dora": None, "rank_pattern": None, "runtime_config": {"ephemeral_gpu_offload": False}},
    ],
)
def test_settings_that_change_nothing_are_no_obstacle(base, folder, settings):
    """**P**: task types, empty lists, `lora_only` without biases, and initialisations that leave the base as it is."""
    plain = values_of(folder, base)
    configure(folder, **settings)
    assert values_of(folder, base) == plain


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: name.removeprefix(PREFIX),
        lambda name: name.removeprefix(PREFIX) if "q_proj" in name else name,
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: name.replace(PREFIX, f"{PREFIX}_orig_mod."),
        lambda name: name.replace(PREFIX, f"{PREFIX}module."),
        lambda name: name.replace("layers.0.", "layers.0._orig_mod."),
        lambda name: f"_fsdp_wrapped_module.{name.replace('layers.1.', 'layers.1._checkpoint_wrapped_module.')}",
    ],
)
def test_names_without_pefts_prefix_or_with_those_of_wrappers_are_the_same(base, folder, renamed):
    """**P**: keys without the `base_model.model.` prefix; models saved under torch.compile, DDP or FSDP."""
    plain = values_of(folder, base)
    configure(folder, target_modules=[f"_orig_mod.{layer}" for layer in TARGETS])
    rewrite(folder, lambda weights: {renamed(name): tensor for name, tensor in weights.items()})
    assert values_of(folder, base) == plain


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_read_as_float32(base, folder, dtype):
    plain = values_of(folder, base)
    rewrite(folder, lambda weights: {name: tensor.to(dtype) for name, tensor in weights.items()})
    for layer, (scale, down, up) in values_of(folder, base).items():
        assert scale == plain[layer][0]
        torch.testing.assert_close(torch.tensor([down]), torch.tensor([plain[layer][1]]), atol=0.02, rtol=0.01)
        assert torch.tensor(up).dtype == torch.float32


@pytest.mark.parametrize("value", [None, False, [], {}, 0, 16, 0.5])
def test_unknown_settings_that_are_off_or_numbers_are_said(base, folder, value):
    """**P**: unknown keys of a newer PEFT are not dropped without a word."""
    configure(folder, layer_of_tomorrow=value)
    assert "layer_of_tomorrow" in describe_adapter(folder, base).warnings[0]


def test_an_expression_that_is_not_compared_is_said(base, folder):
    configure(folder, target_modules=r"(?!decoder).*\.(0\.attn\.q_proj|1\.mlp\.w1)")
    assert "target_modules" in describe_adapter(folder, base).warnings[0]


def test_all_settings_of_the_installed_peft_are_known():
    assert {field.name for field in dataclasses.fields(LoraConfig)} <= KNOWN_SETTINGS


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"r": 5}, "do not belong together.*rank 5"),
        ({"r": 30_000}, "do not belong together.*rank 30000"),
        ({"rank_pattern": {"q_proj": 2}}, f"do not belong together.*rank 2 for {Q_PROJ}"),
        ({"rank_pattern": {".*layers.0.*": 2, "q_proj": 4}}, f"do not belong together.*{Q_PROJ}"),
        ({"target_modules": ["q_proj", "w1"]}, "do not belong together.*backbone.layers.0.mlp.w1"),
        ({"target_modules": [Q_PROJ]}, f"do not belong together.*{W1}"),
        ({"target_modules": [*TARGETS, "codebook0_head"]}, "do not belong together.*codebook0_head"),
        ({"exclude_modules": ["w1"]}, f"do not belong together.*{W1}"),
        ({"layers_to_transform": 0, "target_modules": ["0.attn.q_proj", "1.mlp.w1"]}, f"do not belong together.*{W1}"),
        ({"use_dora": True}, f"do not belong together.*DoRA magnitude for {Q_PROJ}"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'.*rewriting the base"),
        ({"init_lora_weights": "pissa_niter_16"}, "pissa_niter_16"),
        ({"init_lora_weights": "olora"}, "olora"),
        ({"init_lora_weights": "corda"}, "corda"),
        ({"init_lora_weights": "loftq"}, "loftq"),
        ({"init_lora_weights": "lora_ga"}, "lora_ga"),
        ({"init_lora_weights": {"a": 1}}, "init_lora_weights"),
        ({"bias": "all"}, "bias 'all'"),
        ({"modules_to_save": ["codebook0_head"]}, "modules_to_save"),
        ({"target_parameters": ["experts.down"]}, "target_parameters"),
        ({"layer_of_tomorrow": True}, "layer_of_tomorrow"),
        ({"layer_of_tomorrow": "fast"}, "layer_of_tomorrow"),
        ({"peft_type": "IA3"}, "peft_type 'IA3'"),
        ({"peft_type": None}, "peft_type None"),
    ],
)
def test_settings_that_cannot_be_applied_are_refused_by_name(base, folder, settings, says):
    """**P**: ranks and targets unlike the tensors', and what PEFT writes but cannot load; the first layer is named."""
    configure(folder, **settings)
    with pytest.raises(CheckpointMismatchError, match=says) as caught:
        describe_adapter(folder, base)
    assert caught.value.hint


@pytest.mark.parametrize(
    "settings",
    [
        *({"lora_alpha": value} for value in (None, 0, "8", True, float("nan"), float("inf"), 10**40, [])),
        *({"r": value} for value in (None, 0, -4, "4", 4.0, True, [4], 10**40)),
        *({"rank_pattern": value} for value in ({"q_proj": 0}, {"q_proj": "4"}, ["q_proj"], {"(": 4})),
        *({"alpha_pattern": value} for value in ({"q_proj": 0}, {"q_proj": None}, {"(?=q)q_proj": 4})),
        *({"target_modules": value} for value in (5, {"q_proj": 1}, [1], "(", [["q_proj"]])),
        *({"exclude_modules": 7}, {"layers_to_transform": "all"}, {"layers_to_transform": 0, "layers_pattern": "("}),
        *({"use_rslora": "yes"}, {"use_dora": 1}, {"lora_dropout": "none"}),
    ],
)
def test_values_that_are_none_are_refused(base, folder, settings):
    """**P**: `lora_alpha` null or 0, rank as text, a negative rank."""
    configure(folder, **settings)
    with pytest.raises(CheckpointCorruptError, match=r"adapter_config\.json holds a setting that cannot be applied"):
        describe_adapter(folder, base)


@pytest.mark.parametrize("setting", ["target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize("expression", ["(a+)+$", "(.*)*x", r"([\w.]+)*!"])
def test_a_slow_expression_is_only_ever_given_to_an_engine_with_bounds(base, folder, setting, expression, monkeypatch):
    """**High**: a stranger's expression reaches neither PEFT nor Python's engine."""

    def refuse(*arguments, **settings):
        raise AssertionError("a backtracking engine was asked")

    configure(folder, **{setting: {expression: 4} if setting.endswith("pattern") else expression})
    with monkeypatch.context() as patched:
        for name in ("compile", "match", "fullmatch", "search"):
            patched.setattr(re, name, refuse)
        if setting == "target_modules":
            with pytest.raises(CheckpointMismatchError) as caught:
                describe_adapter(folder, base)
            assert Q_PROJ in caught.value.message
        else:
            assert set(describe_adapter(folder, base).layers) == set(TARGETS)


def without_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if W1 not in name}


def with_value(number: float) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def change(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        weights[f"{PREFIX}{W1}.lora_B.weight"][3, 2] = number
        return weights

    return change


LLAMA = {
    Q_PROJ: "backbone.layers.0.self_attn.q_proj",
    W1: "backbone.layers.1.mlp.gate_proj",
}


def renamed_as_llama(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        next(name.replace(ours, llama) for ours, llama in LLAMA.items() if ours in name): tensor
        for name, tensor in weights.items()
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_half, f"do not belong together.*{W1}"),
        (lambda weights: {name: tensor for name, tensor in weights.items() if "lora_A" in name}, "lacks half of"),
        (lambda weights: {}, "no tensors"),
        (lambda weights: {name: tensor[:3] for name, tensor in weights.items()}, "made for another base"),
        (lambda weights: {name: tensor[None] for name, tensor in weights.items()}, "made for another base"),
        (lambda weights: weights | {f"{PREFIX}muq_linear.bias": torch.ones(96)}, "muq_linear.bias"),
        (lambda weights: weights | {f"{Q_PROJ}.lora_A.weight": torch.ones(4, 96)}, "twice"),
        (lambda weights: {name: tensor.int() for name, tensor in weights.items()}, "I32"),
        (lambda weights: {name: tensor.to(torch.float8_e4m3fn) for name, tensor in weights.items()}, "F8_E4M3"),
        (lambda weights: {f"x.{name}": tensor for name, tensor in weights.items()}, "no such layer"),
        (renamed_as_llama, "`transformers` Llama.*SimpleTuner"),
        *(
            (lambda weights, name=name: weights | {f"{PREFIX}{W1}.{name}": torch.ones(4, 4)}, said)
            for name, said in (
                *(("lokr_w1", "LoKr"), ("hada_w1_a", "LoHa"), ("oft_R.weight", "OFT"), ("vera_lambda_b", "VeRA")),
                *(
                    ("dora_scale", "DoRA as LyCORIS"),
                    ("lora_down.weight", "kohya"),
                    ("base_layer.weight", "own weights"),
                ),
            )
        ),
    ],
)
def test_tensors_that_cannot_be_applied_are_refused_by_name(base, folder, change, says):
    """**P**: half of the layers missing, F8 and int32 weights, SimpleTuner's names."""
    rewrite(folder, change)
    with pytest.raises(CheckpointMismatchError, match=says) as caught:
        describe_adapter(folder, base)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("number", "says"),
    [(float("nan"), "not numbers"), (float("inf"), "not numbers"), (1e30, "too large"), (1e9, "too large")],
)
def test_values_that_no_song_can_be_made_with_are_refused(base, folder, number, says):
    """**P**: NaN values, and finite ones that the model would overflow with."""
    rewrite(folder, with_value(number))
    adapter = describe_adapter(folder, base)
    with pytest.raises(CheckpointCorruptError, match=rf"{says}.*{W1}"):
        check_adapter_values(adapter)


def test_a_byte_order_mark_before_the_config_is_passed_over(base, folder):
    plain = values_of(folder, base)
    path = folder / "adapter_config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert values_of(folder, base) == plain


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_in_place_of_a_file_is_named(base, folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(CheckpointError, match=name):
        describe_adapter(folder, base)


def test_a_scale_that_no_song_can_be_made_with_is_refused(base, folder):
    configure(folder, lora_alpha=1e12)
    with pytest.raises(CheckpointCorruptError, match="too large"):
        check_adapter_values(describe_adapter(folder, base))


def test_a_refusal_leaves_the_model_as_it_was(golden_heartmula, folder):
    modules = list(golden_heartmula.modules())
    rewrite(folder, with_value(float("nan")))
    with pytest.raises(CheckpointError):
        Adapter(golden_heartmula, describe_adapter(folder, BaseModel.of(golden_heartmula, "")))
    assert all(now is before for now, before in zip(golden_heartmula.modules(), modules, strict=True))


def test_a_bias_that_was_trained_too_is_not_left_out(base, folder):
    """`lora_only` trains the biases of adapted layers; of HeartMuLa's only one has a bias."""
    out, width = base.linear_layers["muq_linear"]
    added = {"lora_A": torch.ones(4, width), "lora_B": torch.ones(out, 4)}
    rewrite(folder, lambda w: w | {f"{PREFIX}muq_linear.{side}.weight": tensor for side, tensor in added.items()})
    configure(folder, target_modules=[*TARGETS, "muq_linear"])
    assert len(describe_adapter(folder, base).layers) == 3
    configure(folder, bias="lora_only")
    with pytest.raises(CheckpointMismatchError, match="muq_linear"):
        describe_adapter(folder, base)
