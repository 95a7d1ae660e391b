"""Adapters as each program writes them, for the golden base: by the real PEFT where it can, else in the exact format.

Every writer fills a folder, and says what the base's weights are with the adapter on them, worked out beforehand.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import load_heartmula
from heartmula_studio.arch.heartmula import HeartMuLa

GOLDEN = Path(__file__).parent.parent / "golden" / "heartmula"
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "output_proj"), ("w1", "w2", "w3")
LINEARS = [*(f"0.attn.{name}" for name in ATTENTION), *(f"1.mlp.{name}" for name in MLP)]
SOME = ["backbone.layers.0.attn.q_proj", "backbone.layers.1.mlp.w1", "decoder.layers.1.attn.k_proj", "projection"]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def golden() -> HeartMuLa:
    return load_heartmula(GOLDEN)


def peft_model(config, base: nn.Module | None = None, seed: int = 0) -> PeftModel:
    """An adapter whose every tensor is random, so that each of them counts."""
    torch.manual_seed(seed)
    network = get_peft_model(base or golden(), config)
    generator = seeded(seed)
    for name, parameter in network.named_parameters():
        if "lora_magnitude" in name:
            parameter.data.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=generator))
        elif parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=generator)
            is_whole = "modules_to_save" in name or name.endswith("bias")
            parameter.data = parameter.data + 0.05 * noise if is_whole else 0.2 * noise
    return network


def merged(network: PeftModel) -> dict[str, Tensor]:
    """The weights with PEFT's own adapter in them, by the base's names."""
    return network.merge_and_unload().state_dict()


@dataclass(frozen=True)
class Made:
    """An adapter on disk: what is imported, which of it, and the weights that it makes of the base's."""

    source: Path
    weights: Mapping[str, Tensor]
    alpha: float | None = None
    which: str | None = None


Writer = Callable[[Path], Made]


def by_peft(config, change: Callable[[dict, dict], tuple[dict, dict]] | None = None) -> Writer:
    """What `save_pretrained` writes, with tensors and settings changed as other versions and programs do."""

    def write(folder: Path) -> Made:
        network = peft_model(config)
        network.save_pretrained(folder / "style")
        if change:
            tensors = load_file(folder / "style" / WEIGHTS)
            settings = json.loads((folder / "style" / CONFIG).read_text())
            tensors, settings = change(tensors, settings)
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "style" / WEIGHTS)
            (folder / "style" / CONFIG).write_text(json.dumps(settings))
        return Made(folder / "style", merged(network))

    return write


def renamed(change: Callable[[str], str]) -> Callable[[dict, dict], tuple[dict, dict]]:
    return lambda tensors, settings: ({change(name): tensor for name, tensor in tensors.items()}, settings)


def said(**settings) -> Callable[[dict, dict], tuple[dict, dict]]:
    """Settings that change nothing."""
    return lambda tensors, config: (tensors, config | settings)


def zipped(clutter: bool = False) -> Writer:
    """Deep in folders; as macOS packs it, with a second file beside each."""

    def write(folder: Path) -> Made:
        made = by_peft(lora())(folder)
        with zipfile.ZipFile(folder / "style.zip", "w") as archive:
            if clutter:
                archive.writestr("My style/.DS_Store", b"\0\0\0\1Bud1")
            for path in made.source.iterdir():
                archive.write(path, f"My style/run 3/{path.name}")
                if clutter:
                    archive.writestr(f"__MACOSX/My style/run 3/._{path.name}", b"\0\5\x16\7")
        return Made(folder / "style.zip", made.weights)

    return write


def full_in_shards(folder: Path) -> Made:
    state = {name: tensor + 0.01 for name, tensor in golden().state_dict().items()}
    files = {name: f"model-{1 + number % 2:05d}-of-00002.safetensors" for number, name in enumerate(state)}
    for file in set(files.values()):
        save_file({name: tensor for name, tensor in state.items() if files[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / "config.json").write_text((GOLDEN / "config.json").read_text())
    return Made(folder, state)


def lora(**settings) -> LoraConfig:
    return LoraConfig(**{"r": 4, "lora_alpha": 12, "target_modules": LINEARS} | settings)


def in_shards(folder: Path) -> Made:
    made = by_peft(lora())(folder)
    names = sorted(tensors := load_file(made.source / WEIGHTS))
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = {name: tensors[name] for name in part}
        save_file(shard, made.source / f"adapter_model-{number:05d}-of-00002.safetensors")
    (made.source / WEIGHTS).unlink()
    return made


def in_a_subfolder(folder: Path) -> Made:
    """`save_pretrained` of an adapter that is not called "default"."""
    network = get_peft_model(golden(), lora(), adapter_name="night")
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=seeded(1))
    network.save_pretrained(folder / "style")
    return Made(folder / "style", merged(network))


def ladder(folder: Path) -> Made:
    """A trainer's output: steps, the best, optimizer states, and the last one outside."""
    made = by_peft(lora())(folder)
    for name in ("checkpoint-100", "checkpoint-200"):
        other = folder / name
        peft_model(lora(), seed=7).save_pretrained(other)
        save_file({"x": torch.ones(1)}, other / "optimizer.safetensors")
        (other / "scheduler.pt").write_bytes(b"\x80pickle")
        other.rename(made.source / name)
    (made.source / "training_args.bin").write_bytes(b"\x80pickle")
    best = folder / "best"
    best.mkdir()
    for name in (WEIGHTS, CONFIG):
        (made.source / name).rename(best / name)
    best.rename(made.source / "best")
    return Made(made.source, made.weights, which="best")


def random_lora(layer: str, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    out, width = golden().get_submodule(layer).weight.shape
    generator = seeded(seed)
    return 0.2 * torch.randn(rank, width, generator=generator), 0.2 * torch.randn(out, rank, generator=generator)


def plain_weights(alpha: float, rank: int = 3) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """LoRAs of `SOME` layers, and what they make of the base's weights."""
    state = golden().state_dict()
    parts = {layer: random_lora(layer, rank, seed) for seed, layer in enumerate(SOME)}
    for layer, (down, up) in parts.items():
        state[f"{layer}.weight"] = state[f"{layer}.weight"] + alpha / rank * up @ down
    return parts, state


def single_file(
    prefix: str, down_name: str, up_name: str, flat: bool = False, alpha: bool = True, metadata: dict | None = None,
    asked: float | None = None, dora: bool = False,
) -> Writer:  # fmt: skip
    """One .safetensors file by the names of kohya's scripts, ComfyUI, diffusers or PEFT."""

    def write(folder: Path) -> Made:
        known = 6.0 if alpha or metadata or asked else 3.0
        parts, state = plain_weights(known)
        tensors = {}
        for number, (layer, (down, up)) in enumerate(parts.items()):
            stem = prefix + (layer.replace(".", "_") if flat else layer)
            tensors |= {f"{stem}.{down_name}": down, f"{stem}.{up_name}": up}
            if alpha:
                tensors[f"{stem}.alpha"] = torch.tensor(6) if number % 2 else torch.tensor(6.0)
            if dora:
                changed = state[f"{layer}.weight"]
                magnitude = changed.norm(dim=1) * (1 + 0.1 * torch.rand(len(changed), generator=seeded(number)))
                state[f"{layer}.weight"] = changed * (magnitude / changed.norm(dim=1))[:, None]
                tensors[f"{stem}.dora_scale"] = magnitude[:, None]
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "a.safetensors", metadata)
        return Made(folder / "a.safetensors", state, asked)

    return write


def lycoris_loha(folder: Path) -> Made:
    state, tensors = golden().state_dict(), {}
    for seed, layer in enumerate(SOME):
        (b1, a1), (b2, a2) = random_lora(layer, 3, seed), random_lora(layer, 3, seed + 50)
        stem = f"lycoris_{layer.replace('.', '_')}"
        tensors |= {f"{stem}.hada_w1_a": a1, f"{stem}.hada_w1_b": b1, f"{stem}.hada_w2_a": a2, f"{stem}.hada_w2_b": b2}
        tensors[f"{stem}.alpha"] = torch.tensor(1.5)
        state[f"{layer}.weight"] = state[f"{layer}.weight"] + 0.5 * (a1 @ b1) * (a2 @ b2)
    save_file(tensors, folder / "loha.safetensors")
    return Made(folder / "loha.safetensors", state)


def lycoris_lokr(folder: Path) -> Made:
    """The second factor in halves; of the last layer both are whole, and alpha does not count (LyCORIS)."""
    state, tensors = golden().state_dict(), {}
    for seed, layer in enumerate(SOME):
        weight, generator = state[f"{layer}.weight"], seeded(seed)
        out, width = weight.shape
        w1 = torch.randn(4, 2, generator=generator)
        w2_a, w2_b = (0.3 * torch.randn(size, generator=generator) for size in ((out // 4, 3), (3, width // 2)))
        stem = f"lycoris_{layer.replace('.', '_')}"
        is_whole = layer == SOME[-1]
        w2 = {"lokr_w2": w2_a @ w2_b} if is_whole else {"lokr_w2_a": w2_a, "lokr_w2_b": w2_b}
        tensors |= {f"{stem}.{name}": tensor for name, tensor in {"lokr_w1": w1, **w2}.items()}
        tensors[f"{stem}.alpha"] = torch.tensor(6.0)
        state[f"{layer}.weight"] = weight + (1 if is_whole else 2) * torch.kron(w1, w2_a @ w2_b)
    save_file(tensors, folder / "lokr.safetensors")
    return Made(folder / "lokr.safetensors", state)


def lycoris_mixed(folder: Path) -> Made:
    """LoRA on one layer, LoHa on another, a whole change of a third: as presets of LyCORIS give it."""
    state, (one, two, three) = golden().state_dict(), SOME[:3]
    down, up = random_lora(one, 2, 1)
    (b1, a1), (b2, a2) = random_lora(two, 2, 2), random_lora(two, 2, 3)
    diff = 0.05 * torch.randn(state[f"{three}.weight"].shape, generator=seeded(4))
    stems = [f"lycoris_{layer.replace('.', '_')}" for layer in (one, two, three)]
    tensors = {
        f"{stems[0]}.lora_down.weight": down, f"{stems[0]}.lora_up.weight": up, f"{stems[0]}.alpha": torch.tensor(4.0),
        f"{stems[1]}.hada_w1_a": a1, f"{stems[1]}.hada_w1_b": b1, f"{stems[1]}.hada_w2_a": a2,
        f"{stems[1]}.hada_w2_b": b2, f"{stems[1]}.alpha": torch.tensor(2.0), f"{stems[2]}.diff": diff,
    }  # fmt: skip
    state[f"{one}.weight"] = state[f"{one}.weight"] + 2 * up @ down
    state[f"{two}.weight"] = state[f"{two}.weight"] + (a1 @ b1) * (a2 @ b2)
    state[f"{three}.weight"] = state[f"{three}.weight"] + diff
    save_file(tensors, folder / "mixed.safetensors")
    return Made(folder / "mixed.safetensors", state)


def audio_head_lora(folder: Path) -> Made:
    """PEFT's layout for a LoRA on a stack of matrices: `target_parameters`."""
    state, rank = golden().state_dict(), 2
    heads, width, out = state["audio_head"].shape
    down = 0.2 * torch.randn(heads * rank, width, generator=seeded(1))
    up = 0.2 * torch.randn(out, heads * rank, generator=seeded(2))
    for head in range(heads):
        change = (up[:, head::heads] @ down[head * rank : (head + 1) * rank]).T
        state["audio_head"][head] = state["audio_head"][head] + 3.0 * change
    name = "base_model.model.audio_head"
    (folder / "style").mkdir()
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, folder / "style" / WEIGHTS)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 6, "target_modules": [], "bias": "none"}
    config["target_parameters"] = ["audio_head.weight"]
    (folder / "style" / CONFIG).write_text(json.dumps(config))
    return Made(folder / "style", state)


def half_split(rows: Tensor, head_dim: int) -> Tensor:
    """Rows in the order of a `transformers` Llama: what undoing the permutation has to take back."""
    return rows.unflatten(0, (-1, head_dim // 2, 2)).transpose(1, 2).flatten(0, 2)


LLAMA = {"attn.q_proj": "self_attn.q_proj", "attn.k_proj": "self_attn.k_proj", "mlp.w1": "mlp.gate_proj"}


def simpletuner(folder: Path) -> Made:
    """Names of a `transformers` Llama, as PEFT saves them, rows of q and k in its order."""
    parts, state = plain_weights(3.0)
    tensors = {}
    for layer, (down, up) in parts.items():
        theirs = next((layer.replace(a, b) for a, b in LLAMA.items() if layer.endswith(a)), layer)
        if layer.endswith(("q_proj", "k_proj")):
            up = half_split(up, 16)  # of both golden transformers
        tensors |= {f"base_model.model.{theirs}.lora_A.weight": down, f"base_model.model.{theirs}.lora_B.weight": up}
    (folder / "style").mkdir()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "style" / WEIGHTS)
    targets = ["backbone.layers.0.self_attn.q_proj", "gate_proj", "decoder.layers.1.self_attn.k_proj", "projection"]
    targets[1] = "backbone.layers.1.mlp.gate_proj"
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 3, "target_modules": targets, "task_type": None}
    (folder / "style" / CONFIG).write_text(json.dumps(config))
    return Made(folder / "style", state)


def full_model(prefix: str = "", with_config: bool = True, inside: str = "HeartMuLa-oss-3B") -> Writer:
    """Full weights in heartlib's layout, among the other parts of a base, or one file by itself."""

    def write(folder: Path) -> Made:
        state = {name: tensor + 0.01 for name, tensor in golden().state_dict().items()}
        target = folder / "ckpt" / inside
        target.mkdir(parents=True)
        save_file({prefix + name: tensor for name, tensor in state.items()}, target / "model.safetensors")
        if with_config:
            (target / "config.json").write_text((GOLDEN / "config.json").read_text())
            (folder / "ckpt" / "HeartCodec-oss").mkdir()
            for name in ("config.json", "model.safetensors"):
                (folder / "ckpt" / "HeartCodec-oss" / name).write_bytes((target / name).read_bytes())
        return Made(folder / "ckpt", state)

    return write


def half(dtype: torch.dtype) -> Writer:
    """Saved in 16 bits: the weights are what the rounded tensors make of the base's."""

    def write(folder: Path) -> Made:
        parts, state = plain_weights(0.0)
        tensors = {}
        for layer, (down, up) in parts.items():
            down, up = down.to(dtype), up.to(dtype)
            name = f"base_model.model.{layer}"
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
            state[f"{layer}.weight"] = state[f"{layer}.weight"] + 2 * up.float() @ down.float()
        (folder / "style").mkdir()
        save_file(tensors, folder / "style" / WEIGHTS)
        config = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": SOME}
        (folder / "style" / CONFIG).write_text(json.dumps(config))
        return Made(folder / "style", state)

    return write


PEFT = "base_model.model."
DIFFUSERS = {"lora_adapter_metadata": json.dumps({"transformer.r": 3, "transformer.lora_alpha": 6})}

LAYOUTS: Mapping[str, Writer] = {
    "peft": by_peft(lora()),
    "peft-without-prefix": by_peft(lora(), renamed(lambda name: name.removeprefix(PEFT))),
    "peft-compiled": by_peft(lora(), renamed(lambda name: name.replace(PEFT, f"{PEFT}_orig_mod."))),
    "peft-with-its-own-name": by_peft(
        lora(), renamed(lambda name: name.removesuffix(".weight") + ".default.weight")
    ),
    "peft-in-a-subfolder": in_a_subfolder,
    "peft-in-shards": in_shards,
    "peft-fp16": half(torch.float16),
    "peft-bf16": half(torch.bfloat16),
    "peft-patterns": by_peft(lora(rank_pattern={"q_proj": 2, "w1": 6}, alpha_pattern={"k_proj": 3, "w1": 20})),
    "peft-causal-lm": by_peft(lora(), said(task_type="CAUSAL_LM")),
    "peft-seq-2-seq-lm": by_peft(lora(), said(task_type="SEQ_2_SEQ_LM", init_lora_weights="orthogonal")),
    "peft-settings-without-effect": by_peft(
        lora(),
        said(init_lora_weights="eva", fan_in_fan_out=True, modules_to_save=[], target_parameters=[], bias="lora_only"),
    ),
    "zip-nested": zipped(),
    "zip-by-macos": zipped(clutter=True),
    "peft-rslora": by_peft(lora(use_rslora=True)),
    "peft-dora-and-rslora": by_peft(lora(use_dora=True, use_rslora=True, rank_pattern={"w1": 6})),
    "peft-dora": by_peft(lora(use_dora=True)),
    "peft-loha": by_peft(LoHaConfig(r=3, alpha=6, target_modules=LINEARS)),
    "peft-lokr": by_peft(LoKrConfig(r=3, alpha=6, target_modules=LINEARS, decompose_factor=4)),
    "peft-lokr-both": by_peft(LoKrConfig(r=2, alpha=6, target_modules=LINEARS, decompose_both=True)),
    "peft-target-parameters": audio_head_lora,
    "peft-head-saved-whole": by_peft(lora(modules_to_save=["codebook0_head"])),
    "peft-norm-saved-whole": by_peft(lora(modules_to_save=["norm"])),
    "peft-bias": by_peft(lora(target_modules=[*LINEARS, "muq_linear"], bias="lora_only")),
    "peft-dora-and-head": by_peft(lora(use_dora=True, modules_to_save=["codebook0_head"])),
    "trainer-ladder": ladder,
    "file-with-our-metadata": single_file(
        PEFT, "lora_A.weight", "lora_B.weight", alpha=False,
        metadata={"adapter_config": json.dumps({"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": SOME})},
    ),
    "file-alpha-asked": single_file(PEFT, "lora_A.weight", "lora_B.weight", alpha=False, asked=6.0),
    "kohya": single_file("lora_unet_", "lora_down.weight", "lora_up.weight", flat=True),
    "kohya-without-alpha": single_file("lora_unet_", "lora_down.weight", "lora_up.weight", flat=True, alpha=False),
    "kohya-alpha-in-metadata": single_file(
        "lora_unet_", "lora_down.weight", "lora_up.weight", flat=True, alpha=False,
        metadata={"ss_network_alpha": "6.0", "ss_network_dim": "3"},
    ),
    "kohya-dora": single_file("lora_unet_", "lora_down.weight", "lora_up.weight", flat=True, dora=True),
    "comfyui": single_file("diffusion_model.", "lora_A.weight", "lora_B.weight"),
    "comfyui-down-up": single_file("diffusion_model.", "lora_down.weight", "lora_up.weight"),
    "diffusers": single_file("transformer.", "lora_A.weight", "lora_B.weight", alpha=False, metadata=DIFFUSERS),
    "diffusers-old": single_file("transformer.", "lora.down.weight", "lora.up.weight", alpha=False),
    "lycoris-loha": lycoris_loha,
    "lycoris-lokr": lycoris_lokr,
    "lycoris-mixed": lycoris_mixed,
    "simpletuner": simpletuner,
    "full-in-ckpt": full_model(),
    "full-in-shards": full_in_shards,
    "full-compiled": full_model("_orig_mod."),
    "full-file-alone": full_model(with_config=False),
}  # fmt: skip
