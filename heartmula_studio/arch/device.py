"""Which device to compute on, and in what precision: asked of PyTorch, never assumed.

Devices are those of `torch.accelerator`: NVIDIA's and AMD's GPUs ("cuda"), Intel's ("xpu") and Apple's ("mps").
"""

import gc
from dataclasses import dataclass, replace
from typing import Literal

import psutil
import torch

from heartmula_studio.device_name import ALLOWED, AUTO, device_kind, is_device_name, is_gpu
from heartmula_studio.errors import InvalidInputError

BF16_SINCE, FP16_SINCE = (8, 0), (7, 0)  # compute capabilities of NVIDIA: Ampere; Volta, with tensor cores
KINDS = ("cuda", "xpu", "mps")  # of those that PyTorch knows, the ones that the studio can use


@dataclass(frozen=True)
class Precision:
    """What a device computes in, unless a person says otherwise. `note` says what is unusual about it, and why."""

    songs: torch.dtype
    training: Literal["no", "bf16", "fp16"]
    frozen_base: Literal["float32", "bfloat16"]
    note: str = ""


BF16 = Precision(torch.bfloat16, "bf16", "bfloat16")
FP16 = Precision(torch.float16, "fp16", "bfloat16", "fp16: this GPU has no bfloat16 of its own (compute capability {})")
FP32 = Precision(torch.float32, "no", "float32", "fp32: this GPU has no fast 16-bit numbers (compute capability {})")
FP32_ELSEWHERE = Precision(torch.float32, "no", "float32")


def pick_device(name: str) -> torch.device:
    """Return the device of a name: "auto" (the GPU with the most free memory, else the CPU), "cpu", "mps", "cuda:1" …

    Raises InvalidInputError for another name, or a device that is not there.
    """
    if name == AUTO:
        return best_device()
    if not is_device_name(name):
        raise InvalidInputError(f"There is no device {name!r}.", f"Use {ALLOWED}.")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(f"The device {name!r} cannot be used here: {error}", "Use auto or cpu.") from error
    return torch.device(name)


def best_device() -> torch.device:
    """Return the GPU with the most free memory, of equal ones the first, or the CPU where there is none."""
    kind = accelerator_kind()
    count = {"cuda": torch.cuda, "xpu": torch.xpu}[kind].device_count() if is_gpu(kind) else 1
    if count == 1:
        return torch.device(kind)
    return torch.device(kind, max(range(count), key=lambda index: memory_info(f"{kind}:{index}")[0]))


def accelerator_kind() -> str:
    """Return which of `KINDS` this machine has, or "cpu"."""
    if torch.cuda.is_available():  # asked first: a ZeroGPU Space has a GPU for some calls only, and answers this one
        return "cuda"
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found is not None and found.type in KINDS else "cpu"


def precision_of(device: torch.device) -> Precision:
    """Return what a device computes in by itself, without emulation."""
    if is_nvidia(device):
        return precision_of_nvidia(device)
    library = {"cuda": torch.cuda, "xpu": torch.xpu}.get(device.type)
    has_bf16 = library is not None and library.is_bf16_supported(including_emulation=False)
    return BF16 if has_bf16 else FP32_ELSEWHERE


def precision_of_nvidia(device: torch.device) -> Precision:
    capability = torch.cuda.get_device_capability(device)
    if capability >= BF16_SINCE:
        return BF16
    precision = FP16 if capability >= FP16_SINCE else FP32
    return replace(precision, note=precision.note.format("{}.{}".format(*capability)))


def is_nvidia(device: torch.device) -> bool:
    """Whether CUDA graphs and our Triton kernels have been tried on such a device."""
    return device.type == "cuda" and torch.version.hip is None


def describe(device: torch.device) -> str:
    """Say what a device is, for people: "cuda:0, NVIDIA L4, 22.5 GB"."""
    if not is_gpu(device.type):
        return f"{device}, {total_bytes(str(device)) / 1e9:.1f} GB of memory"
    of_kind = torch.xpu if device.type == "xpu" else torch.cuda
    return f"{device}, {of_kind.get_device_name(device)}, {total_bytes(str(device)) / 1e9:.1f} GB"


def free_bytes(device: str) -> int:
    """Return the free memory of a device: of a GPU its own, else that of the computer."""
    return memory_info(device)[0] if is_gpu(device) else psutil.virtual_memory().available


def total_bytes(device: str) -> int:
    """Return all memory of a device: of a GPU its own, else that of the computer."""
    return memory_info(device)[1] if is_gpu(device) else psutil.virtual_memory().total


def memory_info(device: str) -> tuple[int, int]:
    """Return the free and the total bytes of a GPU with memory of its own."""
    if device_kind(device) == "cuda":
        return torch.cuda.mem_get_info(device)
    free, total = torch.accelerator.get_memory_info(torch.device(device))
    return free, total


def free_memory() -> None:
    """Give the memory of tensors that nobody has any more back to the system."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
