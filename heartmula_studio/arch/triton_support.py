"""Triton where it is installed, and whether kernels can be built with it."""

import functools
import logging

import torch
from torch import Tensor

from heartmula_studio.arch.device import BF16_SINCE, is_nvidia

__all__ = ["is_triton_available", "tl", "triton"]

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch brings it only where there can be an NVIDIA GPU
    triton = tl = None

_log = logging.getLogger(__name__)


@functools.cache
def is_triton_available(device: torch.device) -> bool:
    """Whether kernels can be built for this device, which takes Triton, a C compiler and bfloat16."""
    if triton is None or not is_nvidia(device) or torch.cuda.get_device_capability(device) < BF16_SINCE:
        return False
    try:
        with torch.cuda.device(device):
            _copy(torch.zeros(2, device=device))
    except Exception as error:  # Triton raises whatever the compiler trips over
        _log.warning("Triton kernels cannot be built here, so songs are made more slowly: %s", error)
        return False
    return True


def _copy(x: Tensor) -> Tensor:
    """Run the smallest kernel there is, as a probe of the compiler."""
    y = torch.empty_like(x)
    _copy_kernel[(1,)](x, y, len(x))
    return y


if triton is not None:

    @triton.jit
    def _copy_kernel(x, y, SIZE: tl.constexpr):
        columns = tl.arange(0, SIZE)
        tl.store(y + columns, tl.load(x + columns))
