"""The two files of a LoRA adapter in PEFT's format, read and checked before anything is done with them."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from peft import LoraConfig, PeftConfig

from heartmula_studio.arch.safetensors_reader import TensorFile
from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
)

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"

_PLAIN_HINT = "Plain LoRA, rsLoRA and DoRA adapters on linear layers can be applied."
_COPY_HINT = "Copy the whole checkpoint folder again."
_KEY = re.compile(r"base_model\.model\.(?P<layer>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|lora_magnitude_vector)")
_PARTS = ({"lora_A.weight", "lora_B.weight"}, {"lora_A.weight", "lora_B.weight", "lora_magnitude_vector"})
# What may differ from PEFT's defaults. Anything else (saved modules, biases, initialisations that rewrite the base)
# would leave a trace on the base weights, or could not be scaled.
_PLAIN_SETTINGS = {
    *("r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "init_lora_weights"),
    *("inference_mode", "base_model_name_or_path", "revision", "task_type", "auto_mapping", "peft_version"),
}


def check_adapter(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check an adapter folder against the base's parameter `shapes`, without loading it.

    Raises CheckpointError for pickled weights, CheckpointMissingError, CheckpointCorruptError, or
    CheckpointMismatchError where the adapter was made for another base or is not plain LoRA.
    """
    read_config(folder)
    for layer, parts in read_layers(folder).items():
        a, b, base = parts["lora_A.weight"], parts["lora_B.weight"], shapes.get(f"{layer}.weight")
        if len(a) != 2 or len(b) != 2 or a[0] != b[1] or base != (b[0], a[1]):
            raise CheckpointMismatchError(
                f"The adapter in {folder} was made for another base: {layer} has lora_A {list(a)} and "
                f"lora_B {list(b)}, this base has {f'a weight {list(base)}' if base else 'no such layer'}.",
                "Load the base model it was trained on, or train the style again on this one.",
            )


def read_config(folder: Path) -> LoraConfig:
    """Read the adapter's settings. Raises as `check_adapter`."""
    _require(folder / CONFIG_FILE)
    try:
        config = PeftConfig.from_pretrained(folder)
    except Exception as error:  # PEFT raises whatever its JSON trips over
        raise CheckpointCorruptError(f"{folder / CONFIG_FILE} cannot be read: {error}.", _COPY_HINT) from error
    if special := _special_settings(config):
        raise CheckpointMismatchError(
            f"The adapter in {folder} uses {', '.join(special)}, which cannot be applied here.", _PLAIN_HINT
        )
    return config


def read_layers(folder: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Read the shapes of the adapter's tensors, by layer and part. Raises as `check_adapter`."""
    if (folder / "adapter_model.bin").exists() and not (folder / WEIGHTS_FILE).exists():
        raise CheckpointError(
            f"The adapter in {folder} is a pickle file (.bin), which can run code when it is opened.",
            f"Save it again as {WEIGHTS_FILE}: model.save_pretrained(folder, safe_serialization=True).",
        )
    _require(folder / WEIGHTS_FILE)
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    with TensorFile(folder / WEIGHTS_FILE) as file:
        file.require_floats()
        for key, shape in file.shapes.items():
            match = _KEY.fullmatch(key)
            layers.setdefault(match["layer"] if match else key, {})[match["part"] if match else key] = shape
    for layer, parts in layers.items():
        if set(parts) not in _PARTS:
            raise CheckpointMismatchError(
                f"The adapter in {folder} holds {', '.join(parts)} for {layer}, which is not LoRA on a linear layer.",
                _PLAIN_HINT,
            )
    return layers


def _special_settings(config: PeftConfig) -> list[str]:
    """Names of the settings that are not plain LoRA."""
    if type(config) is not LoraConfig:
        return [f"peft_type {config.peft_type}"]
    plain = LoraConfig()
    changed = [field.name for field in fields(plain) if getattr(config, field.name) != getattr(plain, field.name)]
    special = [name for name in changed if name not in _PLAIN_SETTINGS]
    return special if config.init_lora_weights in (True, False, "gaussian") else [*special, "init_lora_weights"]


def _require(path: Path) -> None:
    if not path.is_file():
        raise CheckpointMissingError(
            f"{path} is missing.", f"An adapter folder holds {CONFIG_FILE} and {WEIGHTS_FILE}."
        )
