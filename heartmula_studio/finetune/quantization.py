"""Stochastic rounding to bfloat16, and block-wise 8-bit quantization.

Tensors here are flat. What needs float32 works in `chunks`, so that large tensors need no float32 copy.
"""

import functools
from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

BLOCK = 256  # values that share a scale
SMALLEST_LEVEL = 1e-7  # of values without sign, which are divided by
MIN_QUANTIZED_SIZE = 4096  # values; smaller tensors stay in float32, which costs nothing
CHUNK = 1 << 22  # values, 16 MiB in float32


def chunks(num_values: int) -> Iterator[slice]:
    """Cut `num_values` into parts of whole blocks, the last one aside."""
    return (slice(start, min(start + CHUNK, num_values)) for start in range(0, num_values, CHUNK))


def stochastic_round(values: Tensor) -> Tensor:
    """Round float32 to bfloat16 stochastically, up or down so that the expectation is the value itself, [n] → [n].

    Rounded to the nearest, an update below half a step would be lost each time (Zamirai et al., Revisiting BFloat16
    Training, arXiv 2010.06192). Draws from torch's own generator of the device.
    """
    noise = torch.randint(1 << 16, values.shape, dtype=torch.int32, device=values.device)
    # A carry out of the 16 bits that are cut off is as likely as they are large, whatever the sign.
    return ((values.view(torch.int32) + noise) & -(1 << 16)).view(torch.float32).bfloat16()


def is_quantizable(shape: Sequence[int]) -> bool:
    """Tell whether a tensor can be cut into whole blocks, and is large enough to be worth it."""
    return prod(shape) >= MIN_QUANTIZED_SIZE and prod(shape) % BLOCK == 0


def quantize(values: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """Find the nearest code of each value and the scale of each block: float32 [n] → uint8 [n], float32 [n / BLOCK]."""
    blocks = values.view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    levels = code_levels(signed, values.device)
    borders = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(blocks / scales.clamp(min=torch.finfo().tiny)[:, None], borders, out_int32=True)
    return codes.flatten().to(torch.uint8), scales


def dequantize(codes: Tensor, scales: Tensor, signed: bool) -> Tensor:
    """Turn codes uint8 [n] with scales [n / BLOCK] back into float32 [n]."""
    values = code_levels(signed, codes.device).index_select(0, codes.int())
    return (values.view(-1, BLOCK) * scales[:, None]).flatten()


@functools.cache
def code_levels(signed: bool, device: torch.device) -> Tensor:
    """Return the values of the codes 0 to 255, rising up to 1: finer near 0, over seven decades (arXiv 2110.02861).

    Without a sign there is no 0: divided by it, a value that is merely small would become huge (arXiv 2309.01507).
    """
    # Loaded only here: it takes seconds, and few runs need it.
    from torchao.optim.quant_utils import create_dynamic_map

    levels = create_dynamic_map(signed)
    if not signed:
        levels[0] = SMALLEST_LEVEL
    return torch.tensor(levels, device=device)
