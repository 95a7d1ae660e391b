"""The two methods: LoRA adds small trained matrices through PEFT, a full fine-tune trains every parameter.

Both end in the same three operations for the trainer: the network, its trained tensors, and its output format.
PEFT is loaded where a LoRA is made only: it brings transformers along and takes five seconds.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import BaseFolder, load_heartmula
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.nf4 import move_in_nf4
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.finetune.config import TRANSFORMER_LINEARS, BaseDtype, LoraSettings, TrainConfig
from heartmula_studio.finetune.dtypes import BASE_DTYPES
from heartmula_studio.finetune.parent import ADAPTER_WEIGHTS, PREFIX
from heartmula_studio.finetune.sharding import shard_like

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


def load_network(
    base: BaseFolder, config: TrainConfig, device: torch.device, parent: Path | None = None
) -> "HeartMuLa | PeftModel":
    """Load the base with what `config.method` trains, in training mode.

    parent: a checkpoint of the same method to start from. Raises as `load_heartmula` and `load_adapter` do.
    """
    if config.method == "full" and parent:
        base = replace(base, model=parent)
    model = load_base(base, config.base_dtype, device, config.mixed_precision)
    model.enable_gradient_checkpointing(config.gradient_checkpointing)
    model.name_or_path = base.name
    if config.method == "full":
        return model.requires_grad_(True).train()
    from peft import get_peft_model

    torch.manual_seed(config.seed)
    network = get_peft_model(model, lora_config(config.lora)).train()
    if parent:
        load_adapter(network, parent)
    return network


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


def load_base(base: BaseFolder, dtype: BaseDtype, device: torch.device, mixed_precision: str = "no") -> HeartMuLa:
    """Load the language model as `TrainConfig.base_dtype` says. Raises as `load_heartmula` does.

    Where fp16 is computed in, 16 bits are fp16: PyTorch's autocast refuses to mix the two kinds.
    """
    stored = BASE_DTYPES[dtype]
    if stored is torch.bfloat16 and mixed_precision == "fp16":
        stored = torch.float16
    if dtype != "nf4":
        return load_heartmula(base.model, device, stored)
    model = load_heartmula(base.model, "cpu", stored)
    move_in_nf4(model, TRANSFORMER_LINEARS, device)
    return model


def lora_config(settings: LoraSettings) -> "LoraConfig":
    from peft import LoraConfig

    from heartmula_studio.finetune.fused_lora import FusedLoraLinear

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT only divides it
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules),
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
    )
    config._register_custom_module({nn.Linear: FusedLoraLinear})  # only here; saved and loaded, it is PEFT's own
    return config


def trainable_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors training changes, by name."""
    return {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def restore_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy saved `trainable_weights` back. Raises CheckpointMismatchError where they are of another network."""
    current = trainable_weights(network)
    if {name: w.shape for name, w in current.items()} != {name: w.shape for name, w in weights.items()}:
        raise CheckpointMismatchError(
            "The saved training state belongs to another network.", "Start a new job folder for this base model."
        )
    for name, tensor in current.items():
        tensor.copy_(shard_like(weights[name], tensor))


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group trained parameters for the optimizer: matrices decay, norms and biases do not."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def unwrap_base(network: "HeartMuLa | PeftModel") -> HeartMuLa:
    """Return the HeartMuLa inside, adapter layers included where there are any."""
    base = network if isinstance(network, HeartMuLa) else network.get_base_model()
    assert isinstance(base, HeartMuLa)
    return base
