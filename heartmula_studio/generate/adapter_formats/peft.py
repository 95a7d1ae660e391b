"""Layers of an adapter → PEFT's own format, which is what is stored, played and trained further."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from heartmula_studio.generate.adapter_files import PREFIX
from heartmula_studio.generate.adapter_formats.layers import Kind, Layer, full_as_lora, loha_as_lora
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD
from heartmula_studio.generate.adapter_formats.reading import ForeignAdapter
from heartmula_studio.generate.base_model import BaseModel

ReadBase = Callable[[str], Tensor]
"""The name of one of the base's parameters → its values in float32."""

PEFT_PARTS: dict[str, str] = {
    "down": "lora_A.weight",
    "up": "lora_B.weight",
    **{part: f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b")},
}
LOKR_PARTS = {part: f"lokr_{part}" for part in ("w1", "w2", "w1_a", "w1_b", "w2_a", "w2_b")}
MAGNITUDE = "lora_magnitude_vector"


@dataclass(frozen=True)
class PeftAdapter:
    """The contents of an adapter_config.json and an adapter_model.safetensors."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def as_peft(adapter: ForeignAdapter, base: BaseModel, read_base: ReadBase) -> PeftAdapter | None:
    """Put an adapter into PEFT's format; None where that has no room for it, and full weights have."""
    layers = dict(adapter.layers)
    for name, value in adapter.values.items():
        module = name.removesuffix(".weight")
        if module == name or module not in base.linear_layers or module in layers:
            return None
        layers[module] = Layer("full", {"diff": value.float() - read_base(name)})
    if (kind := common_kind(layers)) is None:
        return None
    return to_peft({name: CONVERSIONS[kind].get(layer.kind, _same)(layer) for name, layer in layers.items()}, base)


def common_kind(layers: Mapping[str, Layer]) -> Kind | None:
    """The one kind that all layers have or can be put into without loss."""
    kinds = {layer.kind for layer in layers.values()}
    has_magnitudes = {layer.magnitude is not None for layer in layers.values()}
    if len(has_magnitudes) > 1 or (has_magnitudes == {True} and kinds != {"lora"}):
        return None
    if AUDIO_HEAD in layers and (kinds != {"lora"} or layers[AUDIO_HEAD].magnitude is not None):
        return None
    if len(kinds) == 1 and kinds != {"full"}:
        return next(iter(kinds))
    return None if "lokr" in kinds else "lora"


def _same(layer: Layer) -> Layer:
    return layer


CONVERSIONS: dict[Kind, dict[Kind, Callable[[Layer], Layer]]] = {
    "lora": {"full": full_as_lora, "loha": loha_as_lora},
    "loha": {},
    "lokr": {},
    "full": {},
}


def to_peft(layers: Mapping[str, Layer], base: BaseModel) -> PeftAdapter:
    """Write layers of one kind by PEFT's names, with the rank and alpha of each."""
    first = next(iter(layers.values()))
    ranks = {name: _rank(name, layer, base) for name, layer in layers.items()}
    alphas = {name: layer.scale * ranks[name] for name, layer in layers.items()}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    config = {
        "peft_type": {"lora": "LORA", "loha": "LOHA", "lokr": "LOKR"}[first.kind],
        "task_type": None,
        "r": rank,
        **_kind_settings(first, alpha),
        "rank_pattern": {_target(name): value for name, value in ranks.items() if value != rank},
        "alpha_pattern": {_target(name): value for name, value in alphas.items() if value != alpha},
        "target_modules": sorted(name for name in layers if name != AUDIO_HEAD),
    }
    if AUDIO_HEAD in layers:
        config["target_parameters"] = [_target(AUDIO_HEAD)]
    return PeftAdapter(config, dict(item for name, layer in layers.items() for item in _named(name, layer)))


def _kind_settings(layer: Layer, alpha: float) -> dict[str, Any]:
    if layer.kind != "lora":
        return {"alpha": alpha, "decompose_both": "w1_a" in layer.parts} if layer.kind == "lokr" else {"alpha": alpha}
    return {"lora_alpha": alpha, "bias": "none", "use_dora": layer.magnitude is not None, "use_rslora": False}


def _rank(name: str, layer: Layer, base: BaseModel) -> int:
    """PEFT's `r`: of `audio_head` for each of its matrices; of a LoKr of whole factors, one that leaves them whole."""
    if name == AUDIO_HEAD:
        return layer.rank // base.shapes[AUDIO_HEAD][0]
    return layer.rank or max(layer.parts["w2"].shape)


def _target(name: str) -> str:
    return f"{AUDIO_HEAD}.weight" if name == AUDIO_HEAD else name


def _named(name: str, layer: Layer) -> list[tuple[str, Tensor]]:
    table = LOKR_PARTS if layer.kind == "lokr" else PEFT_PARTS
    named = [(f"{PREFIX}{name}.{table[part]}", tensor.contiguous()) for part, tensor in layer.parts.items()]
    if layer.magnitude is not None:
        named.append((f"{PREFIX}{name}.{MAGNITUDE}", layer.magnitude.contiguous()))
    return named
