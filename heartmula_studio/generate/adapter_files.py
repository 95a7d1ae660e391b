"""A LoRA adapter in PEFT's format, described and checked before anything is done with it.

Its tensors are the truth about layers and ranks; its config has to agree, and says how strongly each layer counts.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

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
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.finite import DIVERGED_HINT, require_finite

WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""In front of every name that PEFT's `save_pretrained` writes; other savers leave it out."""

PARTS = {
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
}
OTHER_KINDS = {
    "lokr_": "LoKr",
    "hada_": "LoHa",
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
class LoraLayer:
    """What an adapter adds to one linear layer.

    `tensors` are the names in the file of "down" [rank, in], "up" [out, rank] and, with DoRA, "magnitude" [out].
    """

    rank: int
    scale: float
    tensors: Mapping[str, str]


@dataclass(frozen=True)
class AdapterDescription:
    """An adapter that fits the base: its weights file, and its linear layers by name.

    `warnings` are sentences on what its settings say and is passed over.
    """

    weights: Path
    layers: Mapping[str, LoraLayer]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoraTensors:
    """The values of one layer in float32: all numbers, and none so large that the model could not go on with them."""

    down: Tensor  # [rank, in]
    up: Tensor  # [out, rank], without the scale
    magnitude: Tensor | None = None  # [out], with DoRA


@dataclass
class StoredLayer:
    """The tensors of one layer as they lie in a file: names and shapes by part."""

    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return self.shapes["down"][0]


def describe_adapter(folder: Path, base: BaseModel) -> AdapterDescription:
    """Read an adapter's settings and the header of its weights, and hold them against the base and each other.

    Raises CheckpointError for pickled weights, CheckpointMissingError, CheckpointCorruptError, or
    CheckpointMismatchError where the adapter was made for another base, is not plain LoRA, or its files disagree.
    """
    config = read_adapter_config(folder / CONFIG_FILE)
    stored = read_stored_layers(require_weights(folder))
    for name, layer in stored.items():
        require_fit(folder, name, layer, base)
    require_agreement(folder, config, stored, base)
    layers = {name: LoraLayer(layer.rank, config.scale_of(name), layer.names) for name, layer in stored.items()}
    return AdapterDescription(folder / WEIGHTS_FILE, layers, config.warnings)


def read_layers(adapter: AdapterDescription, device: str | torch.device) -> Iterator[tuple[str, LoraTensors]]:
    """Yield the name and the values of each layer, which become float32 as in PEFT, whatever the file holds.

    Raises CheckpointCorruptError for values that are not numbers, or too large to be applied.
    """
    with TensorFile(adapter.weights) as file:
        for name, layer in adapter.layers.items():
            values = {part: file.read(stored, device, torch.float32) for part, stored in layer.tensors.items()}
            for value in values.values():
                require_finite(value, adapter.weights, f"layer {name}")
            tensors = LoraTensors(**values)
            if not largest_output(tensors, layer.scale) <= MAX_OUTPUT:
                raise CheckpointCorruptError(
                    f"{adapter.weights} holds values that are too large to be applied (layer {name}).", DIVERGED_HINT
                )
            yield name, tensors


def check_adapter_values(adapter: AdapterDescription) -> None:
    """Read an adapter's values once, on the CPU. Raises as `read_layers`."""
    for _ in read_layers(adapter, "cpu"):
        pass


def largest_output(tensors: LoraTensors, scale: float) -> float:
    """A bound on what a layer's own part gives for an input of mean square 1; its exact value where that is high."""
    width = math.sqrt(tensors.down.shape[1])
    magnitude = 0.0 if tensors.magnitude is None else tensors.magnitude.abs().max().item() * width
    row_norms = tensors.up.norm(dim=1).max() * tensors.down.norm()
    if not (bound := row_norms.item() * width * abs(scale)) <= MAX_OUTPUT:
        bound = (tensors.up @ tensors.down).norm(dim=1).max().item() * width * abs(scale)
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


def read_stored_layers(path: Path) -> dict[str, StoredLayer]:
    """Group the tensors of a file by layer. Raises CheckpointCorruptError and CheckpointMismatchError."""
    layers: dict[str, StoredLayer] = {}
    with TensorFile(path) as file:
        file.require_floats()
        for name, shape in file.shapes.items():
            suffix = next((suffix for suffix in PARTS if name.endswith(f".{suffix}")), None)
            if suffix is None:
                raise not_plain(path, described(name))
            layer = layers.setdefault(layer_name(name, suffix), StoredLayer())
            if PARTS[suffix] in layer.names:
                raise CheckpointMismatchError(f"{path} holds {name:.120} twice, under two names.", COPY_HINT)
            layer.names[PARTS[suffix]], layer.shapes[PARTS[suffix]] = name, shape
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
    down, up, magnitude = (layer.shapes.get(part) for part in ("down", "up", "magnitude"))
    size = base.linear_layers.get(name)
    if size is None and LLAMA_LAYER.fullmatch(name):
        raise llama_names(folder, name)
    if down is None or up is None:
        raise contradiction(folder, f"{WEIGHTS_FILE} lacks half of {name:.120}")
    is_product = len(down) == len(up) == 2 and down[0] == up[1] > 0
    if not is_product or size != (up[0], down[1]) or magnitude not in (None, size[:1]):
        has = f"a weight {list(size)}" if size else "no such layer"
        raise CheckpointMismatchError(
            f"The adapter in {folder} was made for another base: {name:.120} has lora_A {list(down)} and "
            f"lora_B {list(up)}, this base has {has}.",
            "Load the base model it was trained on, or train the style again on this one.",
        )


def require_agreement(folder: Path, config: AdapterConfig, stored: Mapping[str, StoredLayer], base: BaseModel) -> None:
    """Raise CheckpointMismatchError naming the first layer of which the config says something else than the tensors."""
    for name in sorted(base.linear_layers):
        targeted = config.targets_layer(name)
        if targeted is not None and targeted != (name in stored):
            has_it, lacks_it = (CONFIG_FILE, WEIGHTS_FILE) if targeted else (WEIGHTS_FILE, CONFIG_FILE)
            raise contradiction(folder, f"{has_it} has the layer {name}, {lacks_it} does not")
    for name, layer in stored.items():
        if (rank := config.rank_of(name)) != layer.rank:
            raise contradiction(folder, f"{CONFIG_FILE} says rank {rank} for {name}, {WEIGHTS_FILE} holds {layer.rank}")
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
