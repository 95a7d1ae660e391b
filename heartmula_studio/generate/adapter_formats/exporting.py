"""A stored style → the files of other programs: one file with its settings inside, kohya, ComfyUI, or full weights."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.generate.adapter_config import CONFIG_FILE
from heartmula_studio.generate.adapter_formats.folders import StoredAdapter, read_folder, read_stored
from heartmula_studio.generate.adapter_formats.layers import Layer
from heartmula_studio.generate.adapter_formats.merging import write_merged
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD
from heartmula_studio.generate.adapter_formats.scales import OUR_METADATA
from heartmula_studio.generate.base_model import describe_base

SingleFile = Literal["safetensors", "kohya", "comfyui"]
"""Of the first, names are PEFT's and the settings lie in the metadata; of the others, names are those programs'."""

KOHYA_PREFIX, COMFYUI_PREFIX = "lora_unet_", "diffusion_model."
KOHYA_PARTS = {
    "down": "lora_down.weight",
    "up": "lora_up.weight",
    **{part: f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b")},
}
KOHYA_LOKR_PARTS = {part: f"lokr_{part}" for part in ("w1", "w2", "w1_a", "w1_b", "w2_a", "w2_b")}


def write_single_file(folder: Path, base: BaseFolder, format: SingleFile, path: Path, about: Mapping[str, str]) -> None:
    """Write the adapter in a stored folder as one safetensors file; `about` goes into its metadata.

    Raises CheckpointMismatchError for full weights, and for what the format has no names for; CheckpointError.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointMismatchError(
            f"A full fine-tune cannot be written as {format}, which is a format for adapters.", "Choose peft or merged."
        )
    stored = read_folder(folder)
    tensors = stored.tensors if format == "safetensors" else FOREIGN[format](stored, base, folder)
    metadata = {**about, "format": "pt", **_settings(stored, format)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


def write_merged_style(folder: Path, base: BaseFolder, target: Path, dtype: torch.dtype | None = None) -> None:
    """Write the base with the adapter in it into a folder that exists, as heartlib loads it. Raises CheckpointError."""
    adapter = read_stored(read_folder(folder), describe_base(base), str(folder))
    write_merged(base.model, adapter.layers, adapter.values, target, str(folder), dtype)


def _settings(stored: StoredAdapter, format: SingleFile) -> dict[str, str]:
    config = stored.config or {}
    if format == "safetensors":
        return {OUR_METADATA: json.dumps(config)}
    alpha = config.get("lora_alpha", config.get("alpha"))
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(config.get("r")),
        "ss_network_alpha": str(alpha),
    }


def _foreign(name_of: Callable[[str], str]) -> Callable[[StoredAdapter, BaseFolder, Path], dict[str, Tensor]]:
    def write(stored: StoredAdapter, base: BaseFolder, folder: Path) -> dict[str, Tensor]:
        adapter = read_stored(stored, describe_base(base), str(folder))
        if AUDIO_HEAD in adapter.layers:
            raise CheckpointMismatchError(
                "It changes audio_head, a stack of matrices, which this format has no name for.",
                "Choose peft, safetensors or merged.",
            )
        return {k: v for name, layer in adapter.layers.items() for k, v in _named(name_of(name), layer).items()}

    return write


def _named(stem: str, layer: Layer) -> dict[str, Tensor]:
    table = KOHYA_LOKR_PARTS if layer.kind == "lokr" else KOHYA_PARTS
    parts = dict(layer.parts)
    if not layer.rank:  # both factors are whole, and readers pass alpha over
        parts["w1"] = parts["w1"] * layer.scale
    named = {f"{stem}.{table[part]}": tensor for part, tensor in parts.items()}
    named[f"{stem}.alpha"] = torch.tensor(layer.scale * (layer.rank or 1), dtype=torch.float32)
    if layer.magnitude is not None:
        named[f"{stem}.dora_scale"] = layer.magnitude[:, None]
    return named


FOREIGN: Mapping[str, Callable[[StoredAdapter, BaseFolder, Path], Mapping[str, Tensor]]] = {
    "kohya": _foreign(lambda name: KOHYA_PREFIX + name.replace(".", "_")),
    "comfyui": _foreign(lambda name: COMFYUI_PREFIX + name),
}
