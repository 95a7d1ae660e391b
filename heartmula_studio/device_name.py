"""Names of devices, as PyTorch has them: "cpu", "mps", "cuda", "cuda:1" and "xpu"; and "auto". Parsed here only."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

AUTO = "auto"
ALLOWED = "auto, cpu, mps, cuda, cuda:<number>, xpu or xpu:<number>"
GPU_FILES = ("nvidia*", "nvhost*", "nvmap", "kfd", "dxg", "dri/render*")  # in /dev, by the drivers of all makers
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}  # which GPUs a process may see


def is_device_name(name: str) -> bool:
    """Whether a device could be called this; whether it is there is for PyTorch to say."""
    return re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d{1,3})?", name) is not None


def device_kind(name: str) -> str:
    return name.partition(":")[0]


def is_gpu(name: str) -> bool:
    """Whether this is a GPU with memory of its own, of NVIDIA, AMD ("cuda") or Intel ("xpu"); Apple's have none."""
    return device_kind(name) in VISIBLE


def has_no_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether this computer is sure to have none, without asking PyTorch; False where that is not known."""
    return sys.platform == "linux" and not any(True for files in GPU_FILES for _ in devices.glob(files))


def gpu_number(name: str) -> int:
    return int(name.partition(":")[2] or 0)


def device_key(name: str) -> str:
    """One name for one device: "cuda" is the first GPU."""
    return f"{device_kind(name)}:{gpu_number(name)}" if is_gpu(name) else name


def seen_alone(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variable with which a process sees this GPU only, as its first; nothing for other devices.

    environ: of this process, which may see some of the GPUs only and counts those.
    """
    if not is_gpu(name):
        return {}
    variable, number = VISIBLE[device_kind(name)], gpu_number(name)
    seen = [part.strip() for part in environ.get(variable, "").split(",") if part.strip()]
    return {variable: seen[number] if number < len(seen) else str(number)}
