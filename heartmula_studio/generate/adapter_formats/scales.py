"""How strongly each layer of an adapter counts: from its own tensors, its settings, its file's metadata, or asked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from heartmula_studio.errors import AlphaNeededError, CheckpointCorruptError, CheckpointMismatchError
from heartmula_studio.generate.adapter_config import (
    CONFIG_FILE,
    AdapterConfig,
    is_scale,
    not_plain,
    parse_adapter_config,
)
from heartmula_studio.generate.adapter_formats.layers import Kind
from heartmula_studio.generate.adapter_formats.naming import AUDIO_HEAD

OUR_METADATA = "adapter_config"
"""Under this name our single files hold what PEFT keeps in adapter_config.json."""

DIFFUSERS_METADATA = "lora_adapter_metadata"
KOHYA_ALPHA = "ss_network_alpha"
PEFT_TYPES = {"LORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha"}
SAVED_WHOLE = ("modules_to_save", "bias", "target_parameters")
"""Settings that say what is in the file beside LoRAs; the tensors tell it, too."""


class Scales:
    """The factors of an adapter's layers at a strength of 1, by the names that the adapter itself has for them.

    config: of an adapter_config.json; metadata: of a single file; alpha: what its owner says. `warnings` are sentences
    on settings that were passed over; `are_guessed` tells whether a scale had to be assumed.
    Raises as `parse_adapter_config`.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None,
        metadata: Mapping[str, str],
        alpha: float | None,
        called: str,
        is_peft: bool = False,
    ):
        self._called, self._alpha, self._is_peft = called, alpha, is_peft
        values = config if config is not None else config_in(metadata)
        self._config = None if values is None else _parsed(values, called)
        self._network_alpha = _number(metadata.get(KOHYA_ALPHA))
        self.warnings = () if self._config is None else self._config.warnings
        self.are_guessed = False

    def scale_of(self, layer: str, kind: Kind, rank: int, stored: Tensor | None) -> float:
        """Raises AlphaNeededError where nothing tells it, CheckpointMismatchError where settings and tensors differ."""
        if self._config and stored is None and kind != "full":
            return self._of_config(layer, kind, rank)
        if kind == "full" or rank == 0:  # LyCORIS passes alpha over where both factors of a LoKr are whole
            return 1.0
        if stored is not None:
            return self._of_tensor(layer, stored) / rank
        alpha = self._alpha if self._alpha is not None else self._network_alpha
        if alpha is not None:
            return alpha / rank
        if self._is_peft:
            raise AlphaNeededError(
                f"{self._called} does not state its alpha, without which it may be far too weak or too strong. "
                f"Its rank is {rank}.",
                f"Give the alpha that it was trained with, or the folder with its {CONFIG_FILE}. Many trainers take "
                "the rank itself, or twice the rank.",
            )
        self.are_guessed = True
        return 1.0

    def require_targets(self, present: set[str], layers: Mapping[str, str]) -> None:
        """Raise CheckpointMismatchError naming the first layer that the settings have and the tensors do not, or so.

        layers: the adapter's names of the base's linear layers, and the base's.
        """
        for theirs, ours in sorted(layers.items()) if self._config else ():
            targeted = self._config.targets_layer(theirs) if self._config else None
            if targeted is not None and targeted != (theirs in present):
                has, lacks = ("its settings have", "its weights do not")
                if not targeted:
                    has, lacks = ("its weights have", "its settings do not")
                raise _contradiction(self._called, f"{has} the layer {ours}, {lacks}")

    def _of_tensor(self, layer: str, stored: Tensor) -> float:
        if stored.numel() != 1 or not is_scale(alpha := stored.float().item()):
            raise CheckpointCorruptError(
                f"{self._called} holds an alpha for {layer:.120} that is not a number other than 0.",
                "Copy the file again from where it came.",
            )
        return alpha

    def _of_config(self, layer: str, kind: Kind, rank: int) -> float:
        config = self._config
        assert config is not None
        known = config.rank_of(layer if layer != AUDIO_HEAD else f"{AUDIO_HEAD}.weight")
        if kind == "lora" and known != rank:
            raise _contradiction(self._called, f"its settings say rank {known} for {layer:.120}, its weights {rank}")
        return config.scale_of(layer)


def config_in(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """The settings in a single file's metadata, as this studio and diffusers write them; None without any."""
    for name in (OUR_METADATA, DIFFUSERS_METADATA):
        try:
            values = json.loads(metadata.get(name) or "null")
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            inside = {key.rpartition(".")[2]: value for key, value in values.items()}
            return {"peft_type": "LORA", **inside}
    return None


def _parsed(values: Mapping[str, Any], called: str) -> AdapterConfig:
    """Settings of any kind that PEFT and this studio share, read as those of a LoRA."""
    kind = values.get("peft_type")
    path = Path(called) / CONFIG_FILE
    if not isinstance(kind, str) or kind not in PEFT_TYPES:
        raise not_plain(path, f"the peft_type {kind!r:.40}")
    alpha = values.get(PEFT_TYPES[kind], 8)
    dropped = (*SAVED_WHOLE, *(() if kind == "LORA" else OTHER_KINDS_SETTINGS))
    kept = {name: value for name, value in values.items() if name not in dropped}
    return parse_adapter_config({**kept, "peft_type": "LORA", "lora_alpha": alpha}, path)


OTHER_KINDS_SETTINGS = (
    *("alpha", "rank_dropout", "rank_dropout_scale", "module_dropout", "use_effective_conv2d", "decompose_both"),
    *("decompose_factor", "init_weights"),
)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if is_scale(number) else None


def _contradiction(called: str, reason: str) -> CheckpointMismatchError:
    return CheckpointMismatchError(
        f"The settings and the weights of {called} do not belong together: {reason}.",
        "Copy the whole folder again, or save the adapter again from a model that has only this one.",
    )
