"""The two methods: LoRA adds small trained matrices through PEFT, a full fine-tune trains every parameter.

Both end in the same three operations for the trainer: the network, its trained tensors, and its output format.
PEFT is loaded where a LoRA is made only: it brings transformers along and takes five seconds.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import BaseFolder, load_heartmula
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.nf4 import move_in_nf4
from heartmula_studio.errors import CheckpointMismatchError
from heartmula_studio.finetune.adapters import adapted_network, load_adapter
from heartmula_studio.finetune.config import TRANSFORMER_LINEARS, BaseDtype, TrainConfig
from heartmula_studio.finetune.dtypes import BASE_DTYPES
from heartmula_studio.finetune.sharding import shard_like

if TYPE_CHECKING:
    from peft import PeftModel


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
    torch.manual_seed(config.seed)
    network = adapted_network(model, config.lora)
    if parent:
        load_adapter(network, parent)
    return network


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
