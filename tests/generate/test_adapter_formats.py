"""The matrix: every layout, in, out and back, with the logits that PEFT's own or the exactly merged weights give."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from heartmula_studio.arch.checkpoints import BaseFolder, find_base
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.llama import Transformer
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.generate.adaptable_model import AdaptableModel
from heartmula_studio.generate.adapter_formats.exporting import write_merged_style, write_single_file
from heartmula_studio.generate.adapter_formats.folders import translate_folder
from heartmula_studio.generate.adapter_formats.measuring import measure_style
from heartmula_studio.generate.adapter_formats.naming import llama_name
from heartmula_studio.generate.base_model import describe_base
from heartmula_studio.generate.peft_check import difference_from_peft, warn_of_difference
from heartmula_studio.generate.strength import Strength
from heartmula_studio.store.archives import gather, unpack
from tests.generate.foreign_adapters import LAYOUTS, WEIGHTS, Made, golden, half_split

TOLERANCE = 1e-4
UNKNOWN_TO_PEFT = ("peft-without-prefix", "peft-compiled", "peft-target-parameters", "lycoris-lokr")
"""It loads none of their tensors, has no room for `audio_head` outside of a module, wants LoKr's factors otherwise."""

SINGLE_FILES = ("safetensors", "kohya", "comfyui")


@torch.inference_mode()
def logits_of(model: HeartMuLa) -> Tensor:
    """Logits of all codebooks at the positions behind a short prompt."""
    generator, config = torch.Generator().manual_seed(3), model.config
    tokens = torch.randint(0, 100, (1, 12, config.audio_num_codebooks + 1), generator=generator)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    mask[:, :5, -1] = mask[:, 5:, :-1] = True
    predict = torch.zeros(1, 12, dtype=torch.bool)
    predict[:, 5:] = True
    targets = torch.randint(0, 100, (7, config.audio_num_codebooks), generator=generator)
    parts = model(tokens, mask, torch.tensor([2]), torch.tensor([False]), predict, targets)
    return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class TakenIn:
    layout: str
    made: Made
    folder: Path
    notes: tuple[str, ...]
    logits: Tensor


@pytest.fixture(scope="module")
def base(base_folder) -> BaseFolder:
    return find_base(base_folder)


def take_in(source: Path, into: Path, base: BaseFolder, which: str | None = None, alpha: float | None = None):
    into.mkdir()
    (gather if source.is_dir() else unpack)(source, into, which)
    return translate_folder(into, base.model, describe_base(base), alpha)


def played(folder: Path, base: BaseFolder) -> Tensor:
    model = golden()
    adaptable = AdaptableModel(model, base)
    adaptable.put_on([adaptable.identify(folder, Strength())])
    return logits_of(model)


@pytest.fixture(scope="module", params=LAYOUTS)
def taken(request, tmp_path_factory, base) -> TakenIn:
    folder = tmp_path_factory.mktemp(request.param)
    made = LAYOUTS[request.param](folder)
    notes = take_in(made.source, folder / "in", base, made.which, made.alpha)
    model = golden()
    unchanged = logits_of(model)
    model.load_state_dict(made.weights)
    logits = logits_of(model)
    assert (logits - unchanged).abs().max() > 0.01
    return TakenIn(request.param, made, folder / "in", notes, logits)


def test_every_layout_plays_as_it_was_trained(taken, base):
    assert (played(taken.folder, base) - taken.logits).abs().max() < TOLERANCE


def test_every_layout_goes_out_and_comes_back(taken, base, tmp_path):
    """As one file by each program's names, and merged, as heartlib loads it."""
    if not (taken.folder / WEIGHTS).exists():
        with pytest.raises(CheckpointMismatchError, match="full fine-tune"):
            write_single_file(taken.folder, base, "kohya", tmp_path / "x.safetensors", {})
        return
    for format in SINGLE_FILES:
        file, back = tmp_path / f"{format}.safetensors", tmp_path / format
        if format != "safetensors" and "target-parameters" in str(taken.folder):
            with pytest.raises(CheckpointMismatchError, match="audio_head"):
                write_single_file(taken.folder, base, format, file, {})
            continue
        write_single_file(taken.folder, base, format, file, {"name": "Night drive"})
        take_in(file, back, base)
        assert (played(back, base) - taken.logits).abs().max() < TOLERANCE, format
    (tmp_path / "merged").mkdir()
    write_merged_style(taken.folder, base, tmp_path / "merged")
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    for name, weight in taken.made.weights.items():
        assert (merged[name] - weight).abs().max() < TOLERANCE, name


def test_what_is_changed_is_measured(taken, base):
    """Against the weights themselves."""
    is_full = not (taken.folder / WEIGHTS).exists()
    change, before = measure_style(taken.folder, base, is_full), golden().state_dict()
    differing = {name for name, weight in taken.made.weights.items() if not torch.equal(weight, before[name])}
    assert change.changed == len(differing)
    size, total = (
        sum(part[n].double().square().sum() for n in differing) for part in (before, difference(taken, before))
    )
    assert change.relative_norm == pytest.approx((total / size).sqrt().item(), rel=1e-3)


def test_every_adapter_plays_as_peft_itself_plays_it(taken, base):
    if not (taken.folder / WEIGHTS).exists():
        pytest.skip("a full fine-tune, which PEFT has no part in")
    difference = difference_from_peft(taken.folder, base)
    if taken.layout in UNKNOWN_TO_PEFT:
        assert difference is None
    else:
        assert difference is not None
        assert difference < TOLERANCE


def test_what_peft_plays_otherwise_is_said():
    (warning,) = warn_of_difference(0.25)
    assert "differ by 0.2 of the largest" in warning
    assert warn_of_difference(1e-5) == warn_of_difference(None) == ()


def test_without_room_for_the_base_nothing_is_compared(monkeypatch, tmp_path, base):
    monkeypatch.setattr("heartmula_studio.generate.peft_check.free_bytes", lambda device: 1000)
    assert difference_from_peft(tmp_path / "never read", base) is None


def difference(taken: TakenIn, before: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight - before[name] for name, weight in taken.made.weights.items()}


def test_what_peft_writes_is_kept_bit_for_bit(tmp_path, base):
    made = LAYOUTS["peft"](tmp_path)
    take_in(made.source, tmp_path / "in", base)
    assert (tmp_path / "in" / WEIGHTS).read_bytes() == (made.source / WEIGHTS).read_bytes()


@pytest.mark.parametrize("layout", ["kohya", "lycoris-loha", "lycoris-mixed", "comfyui"])
def test_what_is_stored_loads_in_peft(layout, tmp_path, base):
    made = LAYOUTS[layout](tmp_path)
    take_in(made.source, tmp_path / "in", base)
    network = PeftModel.from_pretrained(golden(), tmp_path / "in")
    model = golden()
    model.load_state_dict(made.weights)
    assert (logits_of(network.merge_and_unload()) - logits_of(model)).abs().max() < TOLERANCE


def llama_of(transformer: Transformer) -> LlamaModel:
    """The same network by `transformers`: its rows of q and k in the order that its rotary embedding wants."""
    flavor = transformer.flavor
    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = LlamaConfig(
        vocab_size=8, hidden_size=flavor.embed_dim, intermediate_size=flavor.intermediate_dim,
        num_hidden_layers=flavor.num_layers, num_attention_heads=flavor.num_heads,
        num_key_value_heads=flavor.num_kv_heads, max_position_embeddings=flavor.max_seq_len, rms_norm_eps=1e-5,
        rope_parameters=rope, attention_bias=False, mlp_bias=False,
    )  # fmt: skip
    llama, state = LlamaModel(config), {}
    for name, weight in transformer.state_dict().items():
        module = name.rpartition(".")[0]
        if module.endswith(("q_proj", "k_proj")):
            weight = half_split(weight, flavor.head_dim)
        state[f"{llama_name(f'x.{module}') or f'x.{module}'}.weight".removeprefix("x.")] = weight
    llama.load_state_dict(state, strict=False)
    return llama.eval()


@torch.inference_mode()
def test_the_rotary_permutation_is_undone(tmp_path, base):
    """An adapter trained on a `transformers` Llama that equals the backbone gives the same hidden states here."""
    model = golden()
    llama = llama_of(model.backbone)
    x = torch.randn(2, 30, 96, generator=torch.Generator().manual_seed(5))
    assert (llama(inputs_embeds=x).last_hidden_state - model.backbone(x)).abs().max() < TOLERANCE
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj", "up_proj"]
    network = get_peft_model(torch.nn.ModuleDict({"backbone": llama}), LoraConfig(r=4, target_modules=targets))
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(tmp_path / "style")
    config = tmp_path / "style" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"exclude_modules": r"decoder\..*"}))
    notes = take_in(tmp_path / "style", tmp_path / "in", base)
    assert "SimpleTuner" in notes[0]
    adaptable = AdaptableModel(model, base)
    adaptable.put_on([adaptable.identify(tmp_path / "in", Strength())])
    expected = network.base_model.model["backbone"](inputs_embeds=x).last_hidden_state
    assert (model.backbone(x) - expected).abs().max() < TOLERANCE
