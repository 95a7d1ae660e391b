"""An adapter in PEFT's format, described and checked before anything is done with it.

Its tensors are the truth about layers and ranks; its config has to agree, and says how strongly each layer counts.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from heartmula_studio.arch.stored_weights import unwrapped
from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
)
from heartmula_studio.files.safetensors_reader import TensorFile
from heartmula_studio.generate.adapter_config import (
    CONFIG_FILE,
    COPY_HINT,
    AdapterConfig,
    not_plain,
    read_adapter_config,
)
from heartmula_studio.generate.adapter_kinds import (
    PARTS,
    HeadTensors,
    LayerTensors,
    LohaTensors,
    LokrTensors,
    LoraTensors,
    PeftType,
    stored_rank,
    weight_shape,
)
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.finite import DIVERGED_HINT, require_finite

WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""In front of every name that PEFT's `save_pretrained` writes; other savers leave it out."""

TENSORS = {"LORA": LoraTensors, "LOHA": LohaTensors, "LOKR": LokrTensors}
NAMES: dict[PeftType, str] = {"LORA": "LoRA", "LOHA": "LoHa", "LOKR": "LoKr"}
HEAD = "audio_head"
"""The bare parameter that a LoRA can change beside linear layers."""

OTHER_KINDS = {
    "lokr_t2": "LoKr on convolutions",
    "hada_t": "LoHa on convolutions",
    "oft_": "OFT",
    "vera_": "VeRA",
    "ia3_": "IA3",
    "dora_scale": "DoRA as LyCORIS writes it",
    "lora_down": "LoRA as kohya's scripts write it",
    "lora_up": "LoRA as kohya's scripts write it",
    "lora_embedding_": "LoRA on embeddings",
    "base_layer.": "the base's own weights, saved with the adapter",
}
LLAMA_LAYER = re.compile(r".*\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)")
MAX_OUTPUT = 1e6
"""Of an adapted layer, for an input of mean square 1. A product of three is squared in a norm and fits a float32."""


@dataclass(frozen=True)
class AdapterLayer:
    """What an adapter adds to one linear layer, or to `audio_head`.

    rank: None where the tensors have none. `tensors` are the names in the file by part, see `adapter_kinds`.
    """

    rank: int | None
    scale: float
    tensors: Mapping[str, str]


@dataclass(frozen=True)
class AdapterDescription:
    """An adapter that fits the base: its weights file, its kind, and the layers that it changes by name.

    `num_heads` is what `audio_head` holds. `warnings` are sentences on what its settings say and is passed over.
    """

    weights: Path
    peft_type: PeftType
    num_heads: int
    layers: Mapping[str, AdapterLayer]
    warnings: tuple[str, ...] = ()


@dataclass
class StoredLayer:
    """The tensors of one layer as they lie in a file: names and shapes by part."""

    kind: PeftType
    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def rank(self, num_heads: int = 1) -> int | None:
        """The rank; that of one of `num_heads` where the tensors hold all of them."""
        rank = stored_rank(self.kind, self.shapes)
        return None if rank is None else rank // num_heads


def describe_adapter(folder: Path, base: BaseModel) -> AdapterDescription:
    """Read an adapter's settings and the header of its weights, and hold them against the base and each other.

    Raises CheckpointError for pickled weights, CheckpointMissingError, CheckpointCorruptError, or
    CheckpointMismatchError where the adapter was made for another base, is not plain LoRA, or its files disagree.
    """
    config = read_adapter_config(folder / CONFIG_FILE)
    stored = read_stored_layers(require_weights(folder), config.peft_type)
    for name, layer in stored.items():
        if name == HEAD:
            require_head_fit(folder, layer, base)
        else:
            require_fit(folder, name, layer, base)
    require_agreement(folder, config, stored, base)
    layers = {
        name: AdapterLayer(layer.rank(num_heads_of(name, base)), config.scale_of(in_config(name)), layer.names)
        for name, layer in stored.items()
    }
    num_heads = num_heads_of(HEAD, base)
    return AdapterDescription(folder / WEIGHTS_FILE, config.peft_type, num_heads, layers, config.warnings)


def num_heads_of(layer: str, base: BaseModel) -> int:
    """Return how many matrices a layer's tensors hold: one, or those of `audio_head`."""
    return base.shapes[HEAD][0] if layer == HEAD else 1


def in_config(layer: str) -> str:
    """Return a layer's name as patterns have it, which PEFT compares with the parameter's own for `audio_head`."""
    return f"{HEAD}.weight" if layer == HEAD else layer


def read_layers(adapter: AdapterDescription, device: str | torch.device) -> Iterator[tuple[str, LayerTensors]]:
    """Yield the name and the values of each layer, which become float32 as in PEFT, whatever the file holds.

    Raises CheckpointCorruptError for values that are not numbers, or too large to be applied.
    """
    make: Callable[..., LayerTensors] = TENSORS[adapter.peft_type]
    with TensorFile(adapter.weights) as file:
        for name, layer in adapter.layers.items():
            values = {part: file.read(stored, device, torch.float32) for part, stored in layer.tensors.items()}
            for value in values.values():
                require_finite(value, adapter.weights, f"layer {name}")
            tensors = HeadTensors(adapter.num_heads, **values) if name == HEAD else make(**values)
            if not largest_output(tensors, layer.scale) <= MAX_OUTPUT:
                raise CheckpointCorruptError(
                    f"{adapter.weights} holds values that are too large to be applied (layer {name}).", DIVERGED_HINT
                )
            yield name, tensors


def check_adapter_values(adapter: AdapterDescription) -> None:
    """Read an adapter's values once, on the CPU. Raises as `read_layers`."""
    for _ in read_layers(adapter, "cpu"):
        pass


def largest_output(tensors: LayerTensors, scale: float) -> float:
    """A bound on what a layer's own part gives for an input of mean square 1; its exact value where that is high."""
    if not isinstance(tensors, LoraTensors):
        delta = tensors.delta()
        inputs = 1 if isinstance(tensors, HeadTensors) else -1
        return delta.norm(dim=inputs).max().item() * math.sqrt(delta.shape[inputs]) * abs(scale)
    width = math.sqrt(tensors.down.shape[1])
    magnitude = 0.0 if tensors.magnitude is None else tensors.magnitude.abs().max().item() * width
    row_norms = tensors.up.norm(dim=1).max() * tensors.down.norm()
    if not (bound := row_norms.item() * width * abs(scale)) <= MAX_OUTPUT:
        bound = tensors.delta().norm(dim=1).max().item() * width * abs(scale)
    return max(bound, magnitude)


def require_weights(folder: Path) -> Path:
    path = folder / WEIGHTS_FILE
    if path.is_file():
        return path
    if (folder / "adapter_model.bin").exists():
        raise CheckpointError(
            f"The adapter in {folder} is a pickle file (.bin), which can run code when it is opened.",
            f"Save it again as {WEIGHTS_FILE}: model.save_pretrained(folder, safe_serialization=True).",
        )
    raise CheckpointMissingError(f"{path} is missing.", f"An adapter folder holds {CONFIG_FILE} and {WEIGHTS_FILE}.")


def read_stored_layers(path: Path, kind: PeftType) -> dict[str, StoredLayer]:
    """Group the tensors of a file by layer. Raises CheckpointCorruptError, and CheckpointMismatchError for others than
    those of `kind`.
    """
    layers: dict[str, StoredLayer] = {}
    with TensorFile(path) as file:
        file.require_floats()
        for name, shape in file.shapes.items():
            suffix = next((suffix for suffix in PARTS if name.endswith(f".{suffix}")), None)
            if suffix is None:
                raise not_plain(path, described(name))
            part_of, part = PARTS[suffix]
            if part_of != kind:
                holds = f"{NAMES[part_of]} ({name:.120})"
                raise contradiction(path.parent, f"{CONFIG_FILE} says {NAMES[kind]}, {WEIGHTS_FILE} holds {holds}")
            layer = layers.setdefault(layer_name(name, suffix), StoredLayer(kind))
            if part in layer.names:
                raise CheckpointMismatchError(f"{path} holds {name:.120} twice, under two names.", COPY_HINT)
            layer.names[part], layer.shapes[part] = name, shape
    if not layers:
        raise CheckpointMismatchError(f"{path} holds no tensors.", COPY_HINT)
    return layers


def layer_name(tensor: str, suffix: str) -> str:
    """The base's name of the layer that a tensor belongs to, whatever the model was wrapped in when it was saved."""
    inside = unwrapped(tensor).removeprefix(PREFIX)
    return unwrapped(inside).removesuffix(f".{suffix}")


def described(tensor: str) -> str:
    """What a tensor belongs to that is no part of a LoRA in PEFT's format, as far as its name tells."""
    kind = next((kind for mark, kind in OTHER_KINDS.items() if mark in tensor), None)
    return f"{kind} ({tensor:.120})" if kind else f"{tensor:.120}"


def require_fit(folder: Path, name: str, layer: StoredLayer, base: BaseModel) -> None:
    """Raise CheckpointMismatchError unless the base has such a layer, in these sizes."""
    size, magnitude = base.linear_layers.get(name), layer.shapes.get("magnitude")
    if size is None and LLAMA_LAYER.fullmatch(name):
        raise llama_names(folder, name)
    if layer.kind == "LORA" and not {"down", "up"} <= layer.shapes.keys():
        raise contradiction(folder, f"{WEIGHTS_FILE} lacks half of {name:.120}")
    if size is None or size != weight_shape(layer.kind, layer.shapes) or magnitude not in (None, size[:1]):
        raise other_base(folder, name, layer, f"a weight {list(size)}" if size else "no such layer")


def require_head_fit(folder: Path, layer: StoredLayer, base: BaseModel) -> None:
    """Raise CheckpointMismatchError unless the tensors are a LoRA for the base's `audio_head`."""
    num_heads, width, vocabulary = base.shapes[HEAD]
    found = weight_shape(layer.kind, layer.shapes) if layer.shapes.keys() == {"down", "up"} else None
    if found != (vocabulary, width) or layer.shapes["down"][0] % num_heads:
        raise other_base(folder, HEAD, layer, f"{num_heads} heads of {width} by {vocabulary}")


def other_base(folder: Path, name: str, layer: StoredLayer, there: str) -> CheckpointMismatchError:
    shapes = {layer.names[part].rpartition(f"{name}.")[2]: list(shape) for part, shape in layer.shapes.items()}
    held = " and ".join(f"{part.removesuffix('.weight')} {shape}" for part, shape in shapes.items())
    return CheckpointMismatchError(
        f"The adapter in {folder} was made for another base: {name:.120} has {held}, this base has {there}.",
        "Load the base model it was trained on, or train the style again on this one.",
    )


def require_agreement(folder: Path, config: AdapterConfig, stored: Mapping[str, StoredLayer], base: BaseModel) -> None:
    """Raise CheckpointMismatchError naming the first layer of which the config says something else than the tensors."""
    for name in sorted(base.linear_layers):
        targeted = config.targets_layer(name)
        if targeted is not None and targeted != (name in stored):
            has_it, lacks_it = (CONFIG_FILE, WEIGHTS_FILE) if targeted else (WEIGHTS_FILE, CONFIG_FILE)
            raise contradiction(folder, f"{has_it} has the layer {name}, {lacks_it} does not")
    if config.adapts_head != (HEAD in stored):
        raise contradiction(folder, f"only one of them has {HEAD}")
    for name, layer in stored.items():
        held = layer.rank(num_heads_of(name, base))
        if (rank := config.rank_of(in_config(name))) != held and held is not None:
            raise contradiction(folder, f"{CONFIG_FILE} says rank {rank} for {name}, {WEIGHTS_FILE} holds {held}")
        if name == HEAD:
            continue
        if config.uses_dora != ("magnitude" in layer.names):
            raise contradiction(folder, f"only one of them has a DoRA magnitude for {name}")
        if config.trains_biases and f"{name}.bias" in base.shapes:
            raise not_plain(folder / CONFIG_FILE, f"bias lora_only, which trained the bias of {name} too")


def contradiction(folder: Path, reason: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(
        f"{CONFIG_FILE} and {WEIGHTS_FILE} in {folder} do not belong together: {reason}.",
        "Copy the whole folder again, or save the adapter again from a model that has only this one.",
    )


def llama_names(folder: Path, layer: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(
        f"The adapter in {folder} has the layer names of a `transformers` Llama ({layer:.120}), as SimpleTuner's "
        "HeartMuLa has. That network pairs the rows of q and k in another order than HeartMuLa does, so the adapter "
        "would be wrong on it under any names.",
        "Train the style here, or with PEFT on the model that heartlib loads.",
    )
