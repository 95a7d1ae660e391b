"""Adapters of all kinds on a network, through PEFT, which takes five seconds to load: only where one is made."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from heartmula_studio.arch.audio_head import AudioHead
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.files.loading import loading
from heartmula_studio.finetune.config import LoraSettings
from heartmula_studio.finetune.layer_values import values_by_layer
from heartmula_studio.finetune.parent import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PREFIX

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

ADAPTER = "default"
HEAD_PARAMETER = "audio_head.weight"
PISSA_INIT = "pissa_niter_16"
"""The fast singular value decomposition: for the 3B the exact one takes a quarter of an hour, at each start."""


def adapted_network(model: HeartMuLa, settings: LoraSettings) -> "PeftModel":
    """Put an adapter to be trained on a model. Raises InvalidInputError for a pattern that stands for no layer."""
    with loading():
        from peft import get_peft_model
    if settings.audio_head:
        assert isinstance(model.audio_head, nn.Parameter)
        model.replace_audio_head(AudioHead(model.audio_head))
    network = get_peft_model(model, peft_config(settings, adapted_layers(model, settings))).train()
    if settings.kind == "pissa":
        start_with_principal_components(network)
    return network


def adapted_layers(model: nn.Module, settings: LoraSettings) -> list[str]:
    """Return the names of the layers that an adapter changes."""
    names = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in settings.target_modules]
    return [*names, HEAD_PARAMETER] if settings.audio_head else names


def peft_config(settings: LoraSettings, layers: Iterable[str]) -> "PeftConfig":
    """Return what PEFT is told. Patterns are spelt out layer by layer: PEFT sorts overlapping ones as it saves them."""
    from peft import LoHaConfig, LoKrConfig, LoraConfig

    names = list(layers)
    common: dict[str, Any] = {
        "r": settings.rank,
        "target_modules": list(settings.target_modules),
        "rank_pattern": layer_ranks(settings, names),
        "alpha_pattern": values_by_layer(settings.alphas(), names, "lora.alpha_pattern"),
    }
    if settings.kind in ("loha", "lokr"):
        make = LoHaConfig if settings.kind == "loha" else LoKrConfig
        return make(alpha=settings.alpha, **common)  # type: ignore[arg-type]  # PEFT only divides it
    from heartmula_studio.finetune.fused_lora import FusedLoraLinear

    config = LoraConfig(
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # likewise
        lora_dropout=settings.dropout,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        target_parameters=[HEAD_PARAMETER] if settings.audio_head else None,
        **common,
    )
    config._register_custom_module({nn.Linear: FusedLoraLinear})  # only here; saved and loaded, it is PEFT's own
    return config


def layer_ranks(settings: LoraSettings, layers: Iterable[str]) -> dict[str, int]:
    """Return the ranks of the layers that have one of their own. Raises InvalidInputError as `values_by_layer`."""
    found = values_by_layer(settings.ranks(), layers, "lora.rank_pattern")
    return {name: int(rank) for name, rank in found.items()}


def start_with_principal_components(network: "PeftModel") -> None:
    """Move the strongest directions of each adapted weight from the base into its LoRA (PiSSA, arXiv 2404.02948).

    Done once the LoRA is in float32: rounded to the base's type afterwards, the two would not add up any more.
    """
    from peft.tuners.lora.layer import LoraLayer

    for module in network.modules():
        if isinstance(module, LoraLayer):
            module.pissa_init(ADAPTER, PISSA_INIT)  # type: ignore[no-untyped-call]  # PEFT's


def subtract_start(folder: Path, start: Mapping[str, Tensor]) -> None:
    """Turn a saved PiSSA into a LoRA of twice the rank for the base as it is: what was learnt, less the `start`.

    start: the tensors before the first step, by the network's names.
    """
    weights = load_file(folder / ADAPTER_WEIGHTS)
    for name, tensor in weights.items():
        before = start[name.removesuffix(".weight") + f".{ADAPTER}.weight"].to(tensor)
        weights[name] = torch.cat((tensor, before)) if ".lora_A." in name else torch.cat((tensor, -before), dim=1)
    save_file(weights, folder / ADAPTER_WEIGHTS, {"format": "pt"})
    values = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    factor = math.sqrt(2) if values["use_rslora"] else 2
    values["r"], values["lora_alpha"] = 2 * values["r"], factor * values["lora_alpha"]
    values["rank_pattern"] = {layer: 2 * rank for layer, rank in values["rank_pattern"].items()}
    values["alpha_pattern"] = {layer: factor * alpha for layer, alpha in values["alpha_pattern"].items()}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def load_adapter(network: "PeftModel", folder: Path) -> None:
    """Copy a stored adapter into a network. Raises CheckpointMismatchError unless it is of the same kind and size."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    stored = load_file(folder / ADAPTER_WEIGHTS)
    stored = {PREFIX + name.removeprefix(PREFIX): tensor for name, tensor in stored.items()}
    shapes = {name: tensor.shape for name, tensor in stored.items()}
    expected = get_peft_model_state_dict(network, save_embedding_layers=False)
    unlike = [name for name in sorted({*shapes, *expected}) if shapes.get(name) != _shape(expected.get(name))]
    if unlike:
        raise CheckpointMismatchError(
            f"The adapter in {folder} is not of the kind and size that this run trains: {unlike[0]} differs.",
            "Train it further with the settings that it was trained with, on the same base.",
        )
    set_peft_model_state_dict(network, stored)


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape
