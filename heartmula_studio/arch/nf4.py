"""Frozen linear layers in four bits each weight: NF4 with scales in eight (QLoRA, arXiv 2305.14314), by torchao."""

import math
from collections.abc import Collection, Sequence

import torch
from torch import nn

BLOCK = 64  # weights that share a scale
SUPERBLOCK = 256  # scales that share a factor


def fits_nf4(shape: Sequence[int]) -> bool:
    """Whether a weight can be cut into whole blocks; others are left as they are."""
    return math.prod(shape) % (BLOCK * SUPERBLOCK) == 0


def nf4_bytes(shape: Sequence[int]) -> int:
    """What a weight takes: half a byte each, one for a block, a float for a superblock."""
    weights = math.prod(shape)
    return weights // 2 + weights // BLOCK + 4 * (weights // (BLOCK * SUPERBLOCK))


@torch.no_grad()
def move_in_nf4(model: nn.Module, layers: Collection[str], device: torch.device) -> None:
    """Move a model to a device, the linear layers called one of `layers` in four bits and frozen for good.

    Layer by layer: the device never holds the model as it was.
    """
    from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4

    for name, layer in model.named_modules():
        for tensor in [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]:
            tensor.data = tensor.data.to(device)
        if name.rpartition(".")[2] in layers and fits_nf4(layer.weight.shape):
            layer.weight = nn.Parameter(to_nf4(layer.weight.detach(), BLOCK, SUPERBLOCK), requires_grad=False)
