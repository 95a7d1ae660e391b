"""Rotary position embeddings in the two layouts the official checkpoints use. Pure functions on tensors."""

import math

import torch
from torch import Tensor


def inverse_frequencies(head_dim: int, base: float) -> Tensor:
    """Return `base^(-2i/head_dim)`, [head_dim / 2] float32 on the CPU."""
    return 1.0 / base ** (torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu") / head_dim)


def scale_llama31(
    frequencies: Tensor, factor: float, low: float = 1.0, high: float = 4.0, original_context: int = 8192
) -> Tensor:
    """Stretch long wavelengths by `factor`, keep short ones, blend in between.

    Source: the Llama 3.1 reference (`apply_scaling`). Shapes: [head_dim / 2] → [head_dim / 2].
    """
    turns = original_context * frequencies / (2 * math.pi)
    blend = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (blend + (1 - blend) / factor)


def rotation_table(frequencies: Tensor, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of every position's angles, each [length, head_dim / 2] float32."""
    angles = torch.arange(length, dtype=torch.float32, device=device)[:, None] * frequencies.to(device)
    return angles.cos(), angles.sin()


def rope_table(frequencies: Tensor, length: int, device: torch.device) -> Tensor:
    """The same as complex numbers of length 1: [length, head_dim / 2] complex64."""
    return torch.complex(*rotation_table(frequencies, length, device))


def apply_rope(x: Tensor, rope: Tensor) -> Tensor:
    """Rotate the pairs (x0, x1), (x2, x3), … of `x` [..., head_dim] by `rope` [..., head_dim / 2] of `rope_table`.

    Computed in float32, returned in the dtype of `x`.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rope).flatten(-2).type_as(x)


def rotate_half_split(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (x0, x[w/2]), (x1, x[w/2+1]), … of the first w = 2·cos.shape[-1] channels; the rest pass.

    Shapes: `x` [..., T, head_dim], `cos` and `sin` [T, w / 2].
    """
    width = 2 * cos.shape[-1]
    first, second = x[..., :width].float().chunk(2, dim=-1)
    rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return torch.cat((rotated.type_as(x), x[..., width:]), dim=-1)
