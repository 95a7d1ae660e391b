"""A style's folder as it came in → as it is stored: PEFT's format, or full weights where that has no room for it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from heartmula_studio.arch.stored_weights import unwrapped
from heartmula_studio.errors import CheckpointMissingError
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.files.safetensors_reader import DTYPES, TensorFile, read_metadata
from heartmula_studio.generate.adapter_config import CONFIG_FILE, COPY_HINT
from heartmula_studio.generate.adapter_files import PREFIX, WEIGHTS_FILE
from heartmula_studio.generate.adapter_formats.merging import BaseWeights, write_merged
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD, LLAMA_NAMES
from heartmula_studio.generate.adapter_formats.parts import PARAMETERS, parse_part
from heartmula_studio.generate.adapter_formats.peft import as_peft
from heartmula_studio.generate.adapter_formats.reading import ForeignAdapter, read_adapter
from heartmula_studio.generate.adapter_formats.scales import PEFT_TYPES, SAVED_WHOLE, Scales
from heartmula_studio.generate.base_model import BaseModel

SCALED_BY_CUSTOM = ("diffusion_model.", "transformer.", "lora_unet_", "lora_transformer_", "unet.", "lycoris_")
"""In front of names of programs that take a missing alpha for the rank."""

MERGED_WARNING = (
    "It changes more than a LoRA can hold ({what}), so it was merged into the base and is kept as full weights, which "
    "have no strength of their own."
)
KIND_NAMES = {"lora": "LoRA", "loha": "LoHa", "lokr": "LoKr", "full": "whole layers"}
_SHARD = re.compile(r"adapter_model-\d{5}-of-(\d{5})\.safetensors")


@dataclass(frozen=True)
class StoredAdapter:
    """The tensors of a folder, its settings if it has any, and its files' metadata."""

    tensors: Mapping[str, Tensor]
    config: dict[str, Any] | None
    metadata: Mapping[str, str]


def translate_folder(folder: Path, base_folder: Path, base: BaseModel, alpha: float | None = None) -> tuple[str, ...]:
    """Rewrite a folder that `store.archives.unpack` has filled; return what its owner has to know, in sentences.

    What is in PEFT's own format, or full weights, stays as it is. alpha: what its owner says, where it tells none.
    Raises CheckpointError for what cannot be applied, AlphaNeededError.
    """
    if (folder / "config.json").is_file() and not (folder / CONFIG_FILE).is_file():
        return ()
    files = _weight_files(folder)
    names = _names(files)
    if is_full_model(names, base):
        files[0].rename(folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(base.config.to_dict(), indent=1) + "\n", encoding="utf-8")
        return ()
    config = _config(folder)
    if config is not None and files[0].name == WEIGHTS_FILE and is_plain(names, config):
        return ()
    adapter = read_stored(_read(files, config), base, str(folder), alpha)
    for path in [*files, folder / CONFIG_FILE]:
        path.unlink(missing_ok=True)
    return (*adapter.warnings, *_write(folder, adapter, base_folder, base))


def read_stored(stored: StoredAdapter, base: BaseModel, called: str, alpha: float | None = None) -> ForeignAdapter:
    """Do as `read_adapter` with the contents of a folder."""
    names = list(stored.tensors)
    is_peft = any(".lora_A" in name for name in names) and not any(name.startswith(SCALED_BY_CUSTOM) for name in names)
    scales = Scales(stored.config, stored.metadata, alpha, called, is_peft)
    return read_adapter(stored.tensors, scales, base, called)


def read_folder(folder: Path) -> StoredAdapter:
    """Read an adapter as it is stored. Raises CheckpointError."""
    return _read(_weight_files(folder), _config(folder))


def is_plain(names: list[str], config: Mapping[str, Any]) -> bool:
    """Whether an adapter is in PEFT's own format, or is told apart only by what cannot be applied in any."""
    if config.get("peft_type") not in PEFT_TYPES:
        return True
    extra = {name: config.get(name) for name in SAVED_WHOLE}
    if extra["modules_to_save"] or extra["bias"] not in (None, "none", "lora_only"):
        return False
    if extra["target_parameters"] and extra["target_parameters"] != [f"{AUDIO_HEAD}.weight"]:
        return False
    return all(_is_plain_part(name) for name in names)


def is_full_model(names: list[str], base: BaseModel) -> bool:
    """Whether these are the names of a whole HeartMuLa."""
    return set(base.shapes) <= {unwrapped(name) for name in names}


def _is_plain_part(name: str) -> bool:
    part = parse_part(unwrapped(unwrapped(name).removeprefix(PREFIX)))
    if part is None:
        return False
    stem = part.stem
    if stem.endswith(tuple(LLAMA_NAMES.values())) or stem.startswith(SCALED_BY_CUSTOM) or part.adapter:
        return False
    return part.layout in ("peft", "lycoris") and part.part not in (*PARAMETERS, "diff")


def _weight_files(folder: Path) -> list[Path]:
    """Raises CheckpointMissingError where shards are missing."""
    shards = sorted(folder.glob("adapter_model-*.safetensors"))
    if not shards:
        return [folder / WEIGHTS_FILE]
    match = _SHARD.fullmatch(shards[0].name)
    if match and len(shards) != int(match[1]):
        raise CheckpointMissingError(
            f"{folder} holds {len(shards)} of {int(match[1])} files of weights.", "Add those that are missing."
        )
    return shards


def _names(files: list[Path]) -> list[str]:
    names = []
    for path in files:
        with TensorFile(path) as file:
            names += list(file.headers)
    return names


def _config(folder: Path) -> dict[str, Any] | None:
    if not (folder / CONFIG_FILE).exists():
        return None
    return read_json_object(folder / CONFIG_FILE, COPY_HINT)


def _read(files: list[Path], config: dict[str, Any] | None) -> StoredAdapter:
    """All tensors in the types that they are stored in; raises CheckpointMismatchError for other than floats."""
    tensors: dict[str, Tensor] = {}
    for path in files:
        with TensorFile(path) as file:
            if any(not header.is_float for name, header in file.headers.items() if not name.endswith(".alpha")):
                file.require_floats()
            for name, header in file.headers.items():
                tensors[name] = file.read(name, "cpu", DTYPES.get(header.dtype, torch.float32))
    return StoredAdapter(tensors, config, read_metadata(files[0]))


def _write(folder: Path, adapter: ForeignAdapter, base_folder: Path, base: BaseModel) -> list[str]:
    """Write an adapter in PEFT's format, or merged; return what has to be said of that."""
    weights = BaseWeights(base_folder)
    if adapted := as_peft(adapter, base, weights.read):
        save_file(dict(adapted.tensors), folder / WEIGHTS_FILE, {"format": "pt"})
        (folder / CONFIG_FILE).write_text(json.dumps(adapted.config, indent=1) + "\n", encoding="utf-8")
        return []
    write_merged(base_folder, adapter.layers, adapter.values, folder, str(folder))
    return [MERGED_WARNING.format(what=_what_is_merged(adapter, base))]


def _what_is_merged(adapter: ForeignAdapter, base: BaseModel) -> str:
    others = [name for name in adapter.values if name.removesuffix(".weight") not in base.linear_layers]
    if others:
        return ", ".join(sorted(others)[:3])
    kinds = {"DoRA" if layer.magnitude is not None else KIND_NAMES[layer.kind] for layer in adapter.layers.values()}
    return " and ".join(sorted(kinds | ({KIND_NAMES["full"]} if adapter.values else set())))
