"""Names of devices, as PyTorch has them: "cpu", "mps", "cuda" and "cuda:1"; and "auto". Parsed here only."""

import re

AUTO = "auto"
ALLOWED = "auto, cpu, mps, cuda or cuda:<number>"


def is_device_name(name: str) -> bool:
    """Whether a device could be called this; whether it is there is for PyTorch to say."""
    return re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name) is not None


def device_kind(name: str) -> str:
    return name.partition(":")[0]


def is_gpu(name: str) -> bool:
    """Whether this is an NVIDIA GPU, which has a memory of its own."""
    return device_kind(name) == "cuda"


def gpu_number(name: str) -> int:
    return int(name.partition(":")[2] or 0)


def device_key(name: str) -> str:
    """One name for one device: "cuda" is the first GPU."""
    return f"cuda:{gpu_number(name)}" if is_gpu(name) else name
