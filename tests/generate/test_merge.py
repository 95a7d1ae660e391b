"""Adapters merged into a new one give what PEFT's `add_weighted_adapter` gives, or what the engine plays of them."""

import json

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils.merge_utils import dare_linear, dare_ties
from safetensors.torch import save_file

from heartmula_studio.arch.audio_head import AudioHead
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_files import describe_adapter, read_layers
from heartmula_studio.generate.adapter_merging import WeightedAdapter, cut_to_rank, merge_adapters
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.merge_settings import MergeSettings
from heartmula_studio.generate.strength import Strength
from tests.generate.foreign_adapters import golden

FULL_RANK = 512
KINDS = {
    "one": LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "w1"]),
    "two": LoraConfig(r=5, lora_alpha=5, target_modules=["q_proj", "v_proj"], use_rslora=True),
    "dora": LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], use_dora=True),
    "loha": LoHaConfig(r=3, alpha=3, target_modules=["q_proj", "w2"]),
    "lokr": LoKrConfig(r=2, alpha=4, target_modules=["w1"]),
    "head": LoraConfig(r=2, lora_alpha=4, target_modules=["v_proj"], target_parameters=["audio_head.weight"]),
}
TOLERANCE = 1e-4


def with_noise(network, seed: int = 0):
    torch.manual_seed(seed)
    for name, parameter in network.named_parameters():
        if "lora_" in name or "hada_" in name or "lokr_" in name:
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModel.of(golden(), "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A random adapter of each kind, as PEFT saves it."""
    root = tmp_path_factory.mktemp("adapters")
    for number, (name, config) in enumerate(KINDS.items()):
        model = golden()
        if name == "head":
            model.replace_audio_head(AudioHead(model.audio_head))
        with_noise(get_peft_model(model, config), number).save_pretrained(root / name)
    return {name: root / name for name in KINDS}


@pytest.fixture
def merge(folders, base, tmp_path):
    """merge(strengths by name, settings) → the folder of the merged adapter, and what its rank has lost."""

    def run(parents, **settings):
        weighted = [
            WeightedAdapter(describe_adapter(folders[name], base), strength) for name, strength in parents.items()
        ]
        weights = golden().state_dict()
        merged = merge_adapters(weighted, MergeSettings(**settings), base, weights.__getitem__)
        folder = tmp_path / "merged"
        folder.mkdir(exist_ok=True)
        save_file(dict(merged.adapter.tensors), folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps(merged.adapter.config))
        return folder, merged.lost

    return run


@pytest.fixture
def played(base, uncached_logits):
    """played(folders with their strengths): the logits of the base with these on it."""

    def run(*styles):
        model = golden()
        for folder, strength in styles:
            Adapter(model, describe_adapter(folder, base)).set_strength(strength)
        return uncached_logits(model)

    return run


@pytest.mark.parametrize(
    "settings",
    [{"combination": "cat"}, {"combination": "svd"}, {"combination": "svd", "rank": 2}, {"combination": "ties_svd"}],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_it_is_what_peft_makes_of_them(merge, played, folders, uncached_logits, settings):
    network = get_peft_model(golden(), KINDS["one"], adapter_name="one")
    network.load_adapter(folders["one"], "loaded")
    network.load_adapter(folders["two"], "two")
    network.add_weighted_adapter(
        ["loaded", "two"], [0.5, 1.5], "merged", settings["combination"], settings.get("rank"), density=0.3
    )
    network.set_adapter("merged")
    expected = uncached_logits(network.merge_and_unload(adapter_names=["merged"]))
    folder, lost = merge({"one": Strength(0.5), "two": Strength(1.5)}, density=0.3, **settings)
    assert (played((folder, 1.0)) - expected).abs().max() < TOLERANCE
    assert (lost > 0.01) == (settings["combination"] != "cat")


@pytest.mark.parametrize("parents", [("one", "two"), ("one", "loha"), ("loha", "head"), ("two", "head")])
def test_a_sum_is_exact_and_sounds_as_the_mix(merge, played, folders, parents):
    """With strengths of attention and MLP apart."""
    strengths = [Strength(0.5, attention=1.5), Strength(1.0, mlp=0.0)]
    folder, lost = merge(dict(zip(parents, strengths, strict=True)))
    mixed = played(*((folders[name], strength) for name, strength in zip(parents, strengths, strict=True)))
    assert (played((folder, 1.0)) - mixed).abs().max() < TOLERANCE
    assert lost == 0


@pytest.mark.parametrize("parents", [("one", "dora"), ("lokr", "loha"), ("lokr", "head"), ("dora", "lokr")])
def test_a_full_rank_holds_every_kind(merge, played, folders, parents):
    folder, lost = merge(dict.fromkeys(parents, Strength()), combination="svd", rank=FULL_RANK)
    mixed = played(*((folders[name], 1.0) for name in parents))
    assert (played((folder, 1.0)) - mixed).abs().max() < TOLERANCE
    assert lost < 1e-3


def test_the_base_comes_back_bit_for_bit(merge, folders, engine, logits):
    parents = {"one": Strength(0.5), "two": Strength(1.5)}
    folder, _ = merge(parents)
    base = logits()
    engine.activate_mix([(folders[name], strength) for name, strength in parents.items()])
    mixed = logits()
    engine.activate(folder)
    assert (logits() - mixed).abs().max() < TOLERANCE
    engine.deactivate()
    assert torch.equal(logits(), base)


@pytest.mark.parametrize("function", [dare_linear, dare_ties])
def test_dare_is_pefts_and_repeats_itself(base, tmp_path, function):
    """Of the only layer that the parents change, and with it the whole random choice."""
    layer, parents = "backbone.layers.0.attn.k_proj", []
    for number in range(2):
        network = get_peft_model(golden(), LoraConfig(r=3, target_modules=[layer]))
        with_noise(network, number).save_pretrained(tmp_path / str(number))
        parents.append(WeightedAdapter(describe_adapter(tmp_path / str(number), base), Strength(1.5 - number)))
    deltas = [
        tensors.delta()[None] * parent.adapter.layers[layer].scale
        for parent in parents
        for _, tensors in read_layers(parent.adapter, "cpu")
    ]
    torch.manual_seed(5)
    expected = function(deltas, torch.tensor([1.5, 0.5]), 0.4)
    settings = {"combination": f"{function.__name__}_svd", "rank": FULL_RANK, "density": 0.4}
    once, again, other = (
        merge_adapters(parents, MergeSettings(**settings, seed=seed), base, golden().state_dict().__getitem__)
        for seed in (5, 5, 6)
    )
    down, up = (once.adapter.tensors[f"base_model.model.{layer}.lora_{side}.weight"] for side in "AB")
    torch.testing.assert_close((up @ down)[None], expected, atol=1e-5, rtol=0)
    assert all(torch.equal(once.adapter.tensors[name], again.adapter.tensors[name]) for name in once.adapter.tensors)
    assert not all(torch.equal(once.adapter.tensors[n], other.adapter.tensors[n]) for n in once.adapter.tensors)


def test_large_matrices_are_cut_by_a_randomized_svd():
    torch.manual_seed(0)
    matrix = torch.randn(1, 1100, 6) @ torch.randn(1, 6, 1200)
    down, up = cut_to_rank(matrix, 8)
    assert (up.shape, down.shape) == ((1, 1100, 8), (1, 8, 1200))
    torch.testing.assert_close(up @ down, matrix, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("parents", "settings", "says"),
    [
        ({"one": Strength(), "dora": Strength()}, {}, "DoRA or LoKr"),
        ({"one": Strength(), "lokr": Strength()}, {}, "DoRA or LoKr"),
        ({"one": Strength(0.0), "two": Strength(0.0)}, {}, "strengths are 0"),
        ({"one": Strength()}, {"combination": "linear"}, "combination is 'linear'"),
        ({"one": Strength()}, {"density": 1.0}, "between 0.01 and 0.99"),
        ({"one": Strength()}, {"rank": 0}, "between 1 and 512"),
    ],
)
def test_what_cannot_be_merged_is_said(merge, parents, settings, says):
    with pytest.raises(InvalidInputError) as caught:
        merge(parents, **settings)
    assert says in str(caught.value)
