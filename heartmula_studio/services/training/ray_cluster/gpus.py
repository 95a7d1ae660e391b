"""Shares of a GPU: how much memory it has, and how much of it a job asks for."""

import math
import shutil
import subprocess

MIB = 1 << 20
SHARES = 100  # that a GPU is divided into


def smallest_gpu_bytes() -> int:
    """Return the memory of this machine's smallest NVIDIA GPU; 0 where that cannot be told."""
    if shutil.which("nvidia-smi") is None:
        return 0
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]  # in MiB
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.split()
    return min((int(size) * MIB for size in told if size.isdecimal()), default=0)


def gpu_share(needed_bytes: int, gpu_bytes: int) -> float:
    """Return the share of a GPU to ask for, rounded up; a whole one where less will not do, or its size is unknown."""
    if not 0 < needed_bytes < gpu_bytes:
        return 1.0
    return math.ceil(SHARES * needed_bytes / gpu_bytes) / SHARES
