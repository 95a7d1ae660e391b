"""Several adapters at once: the exact sum of what each changes; and the strengths of attention and MLP layers apart."""

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model

from heartmula_studio.arch.audio_head import AudioHead
from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.adapter import Adapter
from heartmula_studio.generate.adapter_files import describe_adapter
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.generate.strength import Strength
from tests.generate.conftest import GOLDEN, LINEARS

KINDS = {
    "lora": LoraConfig(r=4, lora_alpha=8, target_modules=LINEARS),
    "dora": LoraConfig(r=2, lora_alpha=4, target_modules=LINEARS, use_dora=True),
    "loha": LoHaConfig(r=3, alpha=3, target_modules=LINEARS),
    "lokr": LoKrConfig(r=2, alpha=4, target_modules=["q_proj", "w2"]),
    "head": LoraConfig(r=2, lora_alpha=4, target_modules=["v_proj"], target_parameters=["audio_head.weight"]),
}
MIXES = [("lora", "dora"), ("lora", "loha", "dora"), ("lokr", "head", "lora")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A random adapter of each kind, as PEFT saves it."""
    root = tmp_path_factory.mktemp("adapters")
    for number, (name, config) in enumerate(KINDS.items()):
        torch.manual_seed(number)
        model = load_heartmula(GOLDEN / "heartmula")
        if name == "head":
            model.replace_audio_head(AudioHead(model.audio_head))
        network = get_peft_model(model, config)
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.05 * torch.randn_like(parameter))
        network.save_pretrained(root / name)
    return {name: root / name for name in KINDS}


@pytest.fixture(scope="module")
def weights(folders):
    """The weights of the base, and with each adapter merged into it by PEFT."""
    merged = {"base": dict(load_heartmula(GOLDEN / "heartmula").named_parameters())}
    for name, folder in folders.items():
        model = load_heartmula(GOLDEN / "heartmula")
        if name == "head":
            model.replace_audio_head(AudioHead(model.audio_head))
        network = PeftModel.from_pretrained(model, folder).merge_and_unload()
        merged[name] = {key.replace("head.weight", "head") if key == "audio_head.weight" else key: value
                        for key, value in network.named_parameters()}  # fmt: skip
    return merged


def attach(model, folder) -> Adapter:
    base = BaseModel.of(load_heartmula(GOLDEN / "heartmula"), "")
    return Adapter(model, describe_adapter(folder, base))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_gives_pefts_logits(golden_heartmula, uncached_logits, forced_logits, folders, weights, kind):
    base = forced_logits(golden_heartmula)
    expected_model = load_heartmula(GOLDEN / "heartmula")
    expected_model.load_state_dict(weights[kind])
    expected = uncached_logits(expected_model)
    adapter = attach(golden_heartmula, folders[kind])
    torch.testing.assert_close(forced_logits(golden_heartmula), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(uncached_logits(golden_heartmula), expected, atol=1e-4, rtol=0)
    adapter.detach()
    assert torch.equal(forced_logits(golden_heartmula), base)


@pytest.mark.parametrize("mix", MIXES)
def test_a_mix_is_the_sum_of_the_changes(golden_heartmula, uncached_logits, forced_logits, folders, weights, mix):
    base = forced_logits(golden_heartmula)
    expected_model = load_heartmula(GOLDEN / "heartmula")
    for name, parameter in expected_model.named_parameters():
        parameter.data = parameter.data + sum(weights[kind][name] - weights["base"][name] for kind in mix)
    expected = uncached_logits(expected_model)
    adapters = [attach(golden_heartmula, folders[kind]) for kind in mix]
    torch.testing.assert_close(forced_logits(golden_heartmula), expected, atol=2e-4, rtol=0)
    for adapter in adapters:
        adapter.set_strength(0.0)
    assert torch.equal(forced_logits(golden_heartmula), base)
    for adapter in adapters[1:]:
        adapter.detach()
    adapters[0].set_strength(1.0)
    alone = load_heartmula(GOLDEN / "heartmula")
    attach(alone, folders[mix[0]])
    assert torch.equal(forced_logits(golden_heartmula), forced_logits(alone))
    adapters[0].detach()
    assert torch.equal(forced_logits(golden_heartmula), base)


@pytest.mark.parametrize("kind", ["lora", "loha"])
def test_attention_and_mlp_have_strengths_apart(golden_heartmula, uncached_logits, folders, weights, kind):
    expected_model = load_heartmula(GOLDEN / "heartmula")
    for name, parameter in expected_model.named_parameters():
        strength = 0.5 if ".attn." in name else 2.0 if ".mlp." in name else 0.0
        parameter.data = parameter.data + strength * (weights[kind][name] - weights["base"][name])
    attach(golden_heartmula, folders[kind]).set_strength(Strength(0.0, attention=0.5, mlp=2.0))
    torch.testing.assert_close(uncached_logits(golden_heartmula), uncached_logits(expected_model), atol=1e-4, rtol=0)


def test_the_engine_mixes_styles_and_its_receipt_names_all(engine, logits, save_adapter, save_full, tmp_path):
    base, folders = logits(), [save_adapter("one"), save_adapter("two", seed=1)]
    (folders[0] / "meta.json").write_text('{"id": "one", "trigger_word": "zxq"}')
    strengths = [Strength(0.5, attention=1.5), Strength(2.0)]
    styles = engine.activate_mix(list(zip(folders, strengths, strict=True)))
    assert [(style.style.id, style.strength, style.layers_changed) for style in styles] == [
        ("one", 0.5, 35), ("two", 2.0, 35),
    ]  # fmt: skip
    mixed = logits()
    receipt = engine.make_song(SongRequest(duration_sec=1.0), tmp_path / "song.wav").receipt
    assert [(style.id, style.strength, style.attention_strength, style.trigger_word) for style in receipt.styles] == [
        ("one", 0.5, 1.5, "zxq"), ("two", 2.0, None, ""),
    ]  # fmt: skip
    assert receipt.style == receipt.styles[0]
    engine.set_strengths([0.0, 0.0])
    assert torch.equal(logits(), base)
    engine.set_strengths(strengths)
    assert torch.equal(logits(), mixed)
    with pytest.raises(InvalidInputError, match="mixed"):
        engine.activate_mix([(folders[0], 1.0), (save_full(), 1.0)])
    with pytest.raises(InvalidInputError, match="twice"):
        engine.activate_mix([(folders[0], 1.0), (folders[0], 0.5)])
    with pytest.raises(InvalidInputError, match="strength of mlp"):
        engine.activate(folders[0], Strength(1.0, mlp=3.0))
    assert torch.equal(logits(), mixed)
    engine.deactivate()
    assert torch.equal(logits(), base)
