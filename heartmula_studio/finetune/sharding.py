"""Full fine-tunes of a network that no device holds alone: each process keeps a shard of every tensor (FSDP 2).

Weights, gradients and moments are DTensors then. States and checkpoints hold full tensors, so that they do not depend
on the number of processes; running the network and gathering a full tensor need all processes.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn
from torch.optim import Optimizer

from heartmula_studio.errors import InvalidInputError

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

# PyTorch's code for sharding is loaded only where it is asked for: every command would wait half a second for it.
FSDP, TENSOR = "torch.distributed.fsdp", "torch.distributed.tensor"

ASKED_FOR, VERSION = "ACCELERATE_USE_FSDP", "FSDP_VERSION"  # the launcher's words in the environment
HINT = "Begin with heartmula_studio/finetune/fsdp.yaml."


def sharding_plugin(method: str) -> FullyShardedDataParallelPlugin | None:
    """Read how the launcher's configuration shards; None where it does not, and for a LoRA, whose base is not sharded.

    Raises InvalidInputError for FSDP 1, and for a configuration that Accelerate does not take.
    """
    if not parse_flag_from_env(ASKED_FOR):
        return None
    if method != "full":
        os.environ[ASKED_FOR] = "false"  # or Accelerate would shard it all the same
        return None
    if os.environ.get(VERSION) != "2":
        raise InvalidInputError("The configuration of Accelerate asks for FSDP 1.", HINT)
    from torch.distributed.fsdp import MixedPrecisionPolicy

    try:
        # Accelerate's own policy would add up losses and gradients in 16 bits; autocast does not.
        return FullyShardedDataParallelPlugin(mixed_precision_policy=MixedPrecisionPolicy())
    except ValueError as error:
        raise InvalidInputError(f"Accelerate does not take this configuration of FSDP: {error}.", HINT) from error


def shard_on_cpu_too(accelerator: Accelerator, plugin: FullyShardedDataParallelPlugin | None) -> None:
    """Accelerate knows sharding on GPUs only, though PyTorch does it on CPUs just as well."""
    if plugin is not None and accelerator.distributed_type == DistributedType.MULTI_CPU:
        accelerator.state.distributed_type, accelerator.state.fsdp_plugin = DistributedType.FSDP, plugin


def prepare(
    accelerator: Accelerator, network: nn.Module, optimizer: Optimizer
) -> tuple[nn.Module, AcceleratedOptimizer]:
    """Wrap or shard the network, as the accelerator was told, together with its optimizer."""
    model, optimizer = accelerator.prepare(network, optimizer)
    if FSDP in sys.modules and isinstance(model, sys.modules[FSDP].FSDPModule):
        adjust_sharded(model, accelerator)
    return model, optimizer


def adjust_sharded(model: Any, accelerator: Accelerator) -> None:
    """Set what a sharded HeartMuLa does otherwise than Accelerate prepares it."""
    # Else what is outside the layers would stay unsharded, and no DTensor, after an evaluation.
    model.set_reshard_after_forward(True, recurse=False)
    model.forward = accelerator.autocast()(model.forward)
    # Every process must run each layer as often as the others, however long its windows are.
    model.depth_positions_at_once = sys.maxsize


def is_sharded(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Tell whether this process holds a shard of a tensor; none is while the library that shards is not loaded."""
    return TENSOR in sys.modules and isinstance(tensor, sys.modules[TENSOR].DTensor)


def full_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor unsharded; all processes take part."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def gather_full(tensors: Mapping[Any, Tensor], keep: bool) -> dict[Any, Tensor]:
    """Unshard tensors, one by one; what was sharded comes to the CPU. Nothing where it is not to be kept."""
    gathered = {}
    for name, tensor in tensors.items():
        full = full_tensor(tensor)
        if keep:
            # A copy even on the CPU: put together, a tensor may lie in a storage with room for equal shares.
            gathered[name] = full if full is tensor else full.to("cpu", copy=True)
    return gathered


def shard_like(full: Tensor, like: Tensor) -> Tensor:
    """Return this process's shard of `full` where `like` is sharded, the reverse of `full_tensor`; else `full`."""
    if not is_sharded(like):
        return full
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def optimizer_state(optimizer: Optimizer, keep: bool) -> dict[str, Any]:
    """Return the optimizer's `state_dict` with full tensors; without any where it is not to be kept."""
    values = optimizer.state_dict()
    return values | {"state": {number: gather_full(state, keep) for number, state in values["state"].items()}}


def load_optimizer_state(optimizer: Optimizer, values: dict[str, Any]) -> None:
    """Load what `optimizer_state` gave, on any number of processes."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {number: _shard_state(state, parameters[number]) for number, state in values["state"].items()}
    optimizer.load_state_dict(values | {"state": state})


def _shard_state(state: Mapping[str, Any], parameter: Tensor) -> dict[str, Any]:
    """Moments are sharded as their parameter is; the count of steps is a number, or has another shape."""

    def is_moment(value: Any) -> bool:
        return isinstance(value, Tensor) and value.shape == parameter.shape

    return {name: shard_like(value, parameter) if is_moment(value) else value for name, value in state.items()}
