"""Weight normalisation (Salimans and Kingma 2016), with PyTorch's numbers and tensor names.

PyTorch's own computes norms on the meta device, too, and loads its compiler for them: seconds, for no numbers at all.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

Layer = TypeVar("Layer", bound=nn.Module)


class MagnitudeTimesDirection(nn.Module):
    """Magnitudes [out, 1, …] and directions [out, in, …] → weights, of which each output's norm is its magnitude."""

    def forward(self, magnitude: Tensor, direction: Tensor) -> Tensor:
        return torch._weight_norm(direction, magnitude, 0)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if weight.is_meta:
            return weight.new_empty(len(weight), *[1] * (weight.ndim - 1)), weight
        return torch.norm_except_dim(weight, 2, 0), weight


def weight_norm(layer: Layer) -> Layer:
    """Let a layer's weight be a magnitude times a direction."""
    register_parametrization(layer, "weight", MagnitudeTimesDirection(), unsafe=True)  # weights stay as they are
    return layer
