"""Tensors and settings of an adapter in any known format → what it does to each layer of the base.

Pure: tensors in, layers out, in the base's names and its order of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from torch import Tensor

from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.files.wording import counted
from heartmula_studio.generate.adapter_formats.layers import Kind, Layer, interleaved_rows
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD, LayerName, LayerNames, llama_name, other_model
from heartmula_studio.generate.adapter_formats.parts import PARAMETERS, PartName, parse_part, refused_part
from heartmula_studio.generate.adapter_formats.scales import Scales
from heartmula_studio.generate.base_model import BaseModel

KINDS_HINT = (
    "LoRA, rsLoRA, DoRA, LoHa and LoKr on HeartMuLa's layers can be taken in, by PEFT, kohya's scripts, LyCORIS, "
    "diffusers or ComfyUI."
)
OTHER_BASE_HINT = "Load the base model it was trained on, or train the style again on this one."
PARTS_OF = {
    "lora": ({"down", "up"},),
    "loha": ({"w1_a", "w1_b", "w2_a", "w2_b"},),
    "lokr": tuple(first | second for first in ({"w1"}, {"w1_a", "w1_b"}) for second in ({"w2"}, {"w2_a", "w2_b"})),
    "full": ({"diff"},),
}
LLAMA_WARNING = (
    "It was trained by names of a `transformers` Llama, as SimpleTuner's HeartMuLa has. The rows of q and k were put "
    "into HeartMuLa's order. SimpleTuner (as of August 2026) loads the base without that order and gives the depth "
    "decoder another rotary scaling, so that it learnt on a damaged base: listen before you rely on it, or train the "
    "style again here."
)
UNSCALED_WARNING = (
    "It does not tell its alpha, so its layers act as they are (alpha = rank), as its programs take that. Where it "
    "sounds too strong or too weak, give the alpha that it was trained with, or change its strength."
)
MAX_SHOWN = 3


@dataclass(frozen=True)
class ForeignAdapter:
    """What an adapter does to the base: to layers by name, and to parameters that it replaces as a whole.

    warnings: sentences on what its owner has to know.
    """

    layers: Mapping[str, Layer]
    values: Mapping[str, Tensor]
    warnings: tuple[str, ...]


@dataclass
class _Stored:
    """The parts of one layer as they came, by part; `kinds` that its names tell."""

    name: LayerName
    parts: dict[str, Tensor] = field(default_factory=dict)
    kinds: set[Kind] = field(default_factory=set)


def read_adapter(tensors: Mapping[str, Tensor], scales: Scales, base: BaseModel, called: str) -> ForeignAdapter:
    """Translate an adapter, which its owner knows as `called`.

    Raises CheckpointMismatchError for what cannot be applied, naming what it is and the layers;
    CheckpointCorruptError; and as `Scales`.
    """
    stored = _by_layer(tensors, base, called)
    layers: dict[str, Layer] = {}
    values: dict[str, Tensor] = {}
    for name, parts in stored.items():
        for parameter in [part for part in PARAMETERS if part in parts.parts]:
            values.update([_value(name, parameter, parts.parts.pop(parameter), base, called)])
        if parts.parts:
            layers[name] = _layer(parts, scales, base, called)
    if not layers and not values:
        raise CheckpointMismatchError(f"{called} contains no adapter layers.", KINDS_HINT)
    scales.require_targets({stored[name].name.spelt for name in layers}, _foreign_names(stored, base))
    is_llama = any(parts.name.is_llama for parts in stored.values())
    warnings = ([LLAMA_WARNING] if is_llama else []) + ([UNSCALED_WARNING] if scales.are_guessed else [])
    return ForeignAdapter(layers, values, (*scales.warnings, *warnings))


def _by_layer(tensors: Mapping[str, Tensor], base: BaseModel, called: str) -> dict[str, _Stored]:
    """Sort tensors by the base's layer. Raises CheckpointMismatchError naming what belongs to none."""
    names, strange = LayerNames(base), []
    stored: dict[str, _Stored] = {}
    parsed = {tensor: _parsed(tensor, called) for tensor in tensors}
    _require_one_adapter({part.adapter for part in parsed.values() if part.adapter}, called)
    for tensor, part in parsed.items():
        found = names.find(part.stem)
        if found is None:
            strange.append(part.stem)
            continue
        layer = stored.setdefault(found.base, _Stored(found))
        if part.part in layer.parts:
            raise CheckpointMismatchError(
                f"{called} holds {found.base} twice, once as {tensor:.120}.", "Save the adapter again, in one format."
            )
        layer.parts[part.part] = tensors[tensor]
        layer.kinds |= {part.kind} if part.kind else set()
    if strange:
        _refuse_strange(sorted(set(strange)), called)
    return stored


def _parsed(tensor: str, called: str) -> PartName:
    if what := refused_part(tensor):
        raise CheckpointMismatchError(f"{called} holds {what} ({tensor:.120}), which cannot be applied.", KINDS_HINT)
    if (part := parse_part(tensor)) is None:
        raise CheckpointMismatchError(f"{called} holds {tensor:.120}, which is not part of an adapter.", KINDS_HINT)
    return part


def _require_one_adapter(adapters: set[str], called: str) -> None:
    if len(adapters) > 1:
        named = ", ".join(sorted(adapters)[:MAX_SHOWN])
        raise CheckpointMismatchError(
            f"{called} holds {len(adapters)} adapters in one file: {named:.120}.",
            "Save each by itself: model.save_pretrained(folder, selected_adapters=[name]).",
        )


def _refuse_strange(names: list[str], called: str) -> NoReturn:
    shown = ", ".join(f"{name:.100}" for name in names[:MAX_SHOWN])
    model = other_model(names)
    whose = f" It looks like an adapter for {model}." if model else ""
    raise CheckpointMismatchError(
        f"{called} changes {counted(len(names), 'layer')} that this base does not have: {shown}.{whose}",
        "Only adapters that were trained on HeartMuLa can be imported.",
    )


def _value(name: str, parameter: str, value: Tensor, base: BaseModel, called: str) -> tuple[str, Tensor]:
    """A parameter's full name and its new value. Raises CheckpointMismatchError unless the base has one like it."""
    full = f"{name}.scale" if f"{name}.scale" in base.shapes else f"{name}.{parameter}"
    if base.shapes.get(full) != tuple(value.shape):
        has = list(base.shapes[full]) if full in base.shapes else "no such weight"
        raise CheckpointMismatchError(
            f"{called} was made for another base: it holds {full} as {list(value.shape)}, this base has {has}.",
            OTHER_BASE_HINT,
        )
    return full, value


def _layer(stored: _Stored, scales: Scales, base: BaseModel, called: str) -> Layer:
    """Raises CheckpointMismatchError for parts that are incomplete or do not fit, CheckpointCorruptError."""
    name, parts = stored.name.base, dict(stored.parts)
    alpha, magnitude = parts.pop("alpha", None), parts.pop("magnitude", None)
    kind = _kind(stored.kinds, parts, name, called)
    layer = Layer(kind, parts, magnitude=None if magnitude is None else _magnitude(magnitude, name, base, called))
    _require_shape(layer, name, base, called)
    rank = layer.rank if name != AUDIO_HEAD else layer.rank // base.shapes[AUDIO_HEAD][0]
    layer = replace(layer, scale=scales.scale_of(stored.name.spelt, kind, rank, alpha))
    if not (stored.name.is_llama and name.endswith(("q_proj", "k_proj"))):
        return layer
    if (turned := interleaved_rows(layer, _head_dim(name, base))) is None:
        raise CheckpointMismatchError(
            f"{called} is a LoKr of a `transformers` Llama whose factors cut through the heads of {name}: its rows "
            "cannot be put into HeartMuLa's order.",
            "Have it saved as a LoRA, or train the style again here.",
        )
    return turned


def _kind(kinds: set[Kind], parts: Mapping[str, Tensor], name: str, called: str) -> Kind:
    if len(kinds) == 1:
        (kind,) = kinds
        if set(parts) in PARTS_OF[kind]:
            return kind
    missing = next((wanted - set(parts) for kind in kinds for wanted in PARTS_OF[kind][:1]), set())
    lacks = f" Missing: {', '.join(sorted(missing))}." if missing and len(kinds) == 1 else ""
    raise CheckpointMismatchError(
        f"{called} holds {name} by halves: {', '.join(sorted(parts)) or 'no weights'}.{lacks}",
        "Copy the file again, or save the adapter again from a model that has only this one.",
    )


def _magnitude(value: Tensor, name: str, base: BaseModel, called: str) -> Tensor:
    """DoRA's magnitudes as [out]. LyCORIS can also scale inputs, which no linear layer here does."""
    out = base.shapes[f"{name}.weight"][0] if f"{name}.weight" in base.shapes else -1
    if value.numel() != out or value.shape[0] != out:
        raise CheckpointMismatchError(
            f"{called} holds a DoRA magnitude {list(value.shape)} for {name}, which has {out} outputs.",
            "Magnitudes of the inputs (LyCORIS with wd_on_out off) cannot be applied; save it with wd_on_out on.",
        )
    return value.reshape(out)


def _require_shape(layer: Layer, name: str, base: BaseModel, called: str) -> None:
    shape = base.shapes[name] if name == AUDIO_HEAD else base.linear_layers.get(name)
    if shape is None:
        raise CheckpointMismatchError(
            f"{called} changes {name}, which is not a linear layer, by a {layer.kind}.", KINDS_HINT
        )
    made = made_shape(layer, shape)
    if made != shape:
        sizes = ", ".join(f"{part} {list(tensor.shape)}" for part, tensor in layer.parts.items())
        raise CheckpointMismatchError(
            f"{called} was made for another base: {name} has {sizes}; this base has a weight {list(shape)}.",
            OTHER_BASE_HINT,
        )


def made_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of the weight that a layer's parts make up, told from theirs; None where they do not fit together."""
    sizes = {part: tuple(tensor.shape) for part, tensor in layer.parts.items()}
    if layer.kind == "full":
        return sizes["diff"]
    if any(len(size) != 2 or 0 in size for size in sizes.values()):
        return None
    if layer.kind == "lora":
        return _product_shape(sizes["up"], sizes["down"], shape)
    if layer.kind == "loha":
        first, second = (_product_shape(sizes[f"w{n}_a"], sizes[f"w{n}_b"], (0, 0)) for n in (1, 2))
        return first if first == second else None
    factors = [sizes.get(n) or _product_shape(sizes[f"{n}_a"], sizes[f"{n}_b"], (0, 0)) for n in ("w1", "w2")]
    if None in factors:
        return None
    (out1, in1), (out2, in2) = factors  # type: ignore[misc]  # None was ruled out
    return out1 * out2, in1 * in2


def _product_shape(up: tuple[int, ...], down: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if up[1] != down[0]:
        return None
    if len(shape) == 2:
        return up[0], down[1]
    return (shape[0], down[1], up[0]) if down[0] % shape[0] == 0 else None


def _head_dim(name: str, base: BaseModel) -> int:
    flavor = base.config.backbone_flavor if name.startswith("backbone.") else base.config.decoder_flavor
    return flavor.head_dim


def _foreign_names(stored: Mapping[str, _Stored], base: BaseModel) -> dict[str, str]:
    """The adapter's names of all linear layers that it could have changed, and the base's."""
    is_llama = any(parts.name.is_llama for parts in stored.values())
    saved = {name for name, parts in stored.items() if not parts.kinds}
    names = [name for name in base.linear_layers if name not in saved]
    return {(llama_name(name) or name) if is_llama else name: name for name in names}
