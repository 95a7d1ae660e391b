"""The choice of device and precision, with GPUs that are not there."""

import os

import pytest
import torch

from heartmula_studio.arch import device as devices
from heartmula_studio.arch.device import BF16, FP32_ELSEWHERE, best_device, pick_device, precision_of
from heartmula_studio.device_name import device_key, is_device_name, is_gpu, seen_alone
from heartmula_studio.errors import InvalidInputError


@pytest.fixture
def machine(monkeypatch):
    """machine("cuda", free bytes of each GPU): what PyTorch says of a machine with these."""

    def build(kind: str | None, *free: int) -> None:
        there = None if kind is None else torch.device(kind)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: there)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
        for library in (torch.cuda, torch.xpu):
            monkeypatch.setattr(library, "device_count", lambda: len(free))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda name: memory(torch.device(name)))
        monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: memory(device))

        def memory(device: torch.device) -> tuple[int, int]:
            return free[device.index or 0], 24 * 10**9

    return build


@pytest.mark.parametrize(
    ("kind", "free", "chosen"),
    [
        (None, (), "cpu"),
        ("cuda", (8,), "cuda"),
        ("cuda", (1, 8, 8, 2), "cuda:1"),
        ("xpu", (1, 8), "xpu:1"),
        ("mps", (), "mps"),
        ("hpu", (8,), "cpu"),
    ],
)
def test_auto_takes_the_gpu_with_the_most_free_memory(machine, kind, free, chosen):
    machine(kind, *free)
    assert str(best_device()) == str(pick_device("auto")) == chosen


@pytest.mark.parametrize(
    ("capability", "songs", "training", "word"),
    [
        ((9, 0), torch.bfloat16, "bf16", ""),
        ((8, 0), torch.bfloat16, "bf16", ""),
        (
            (7, 5),
            torch.float16,
            "fp16",
            "fp16: this GPU has no bfloat16 of its own (compute capability 7.5)",
        ),
        (
            (6, 1),
            torch.float32,
            "no",
            "fp32: this GPU has no fast 16-bit numbers (compute capability 6.1)",
        ),
    ],
)
def test_older_nvidia_gpus_do_without_emulated_bfloat16(monkeypatch, capability, songs, training, word):
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    precision = precision_of(torch.device("cuda"))
    assert (precision.songs, precision.training, precision.note) == (songs, training, word)


@pytest.mark.parametrize(("kind", "library"), [("cuda", torch.cuda), ("xpu", torch.xpu)])
@pytest.mark.parametrize("has_bf16", [True, False])
def test_gpus_of_amd_and_intel_are_asked(monkeypatch, kind, library, has_bf16):
    monkeypatch.setattr(torch.version, "hip", "7.0")
    monkeypatch.setattr(library, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert precision_of(torch.device(kind)) == (BF16 if has_bf16 else FP32_ELSEWHERE)


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_cpu_and_apple_compute_in_float32(kind):
    assert precision_of(torch.device(kind)) == FP32_ELSEWHERE
    assert os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"  # what Apple's GPU cannot do is named, and done by the CPU


def test_memory_is_that_of_the_device(machine):
    machine("cuda", 7)
    assert (devices.free_bytes("cuda"), devices.total_bytes("cuda:0")) == (7, 24 * 10**9)
    machine_bytes = devices.total_bytes("mps")
    assert devices.total_bytes("cpu") == machine_bytes > 10**8


@pytest.mark.parametrize("name", ["cuda:1", "xpu:3", "tpu", "cuda:x", ""])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(InvalidInputError) as caught:
        pick_device(name)
    assert repr(name) in caught.value.message


@pytest.mark.parametrize("name", ["auto", "cpu", "mps", "cuda", "cuda:12", "xpu", "xpu:0"])
def test_names_of_devices(name):
    assert is_device_name(name)


def test_one_device_has_one_key():
    assert [device_key(name) for name in ("cuda", "cuda:0", "xpu", "mps", "cpu")] == [
        *["cuda:0"] * 2,
        "xpu:0",
        "mps",
        "cpu",
    ]
    assert is_gpu("xpu:1")
    assert not is_gpu("mps")


@pytest.mark.parametrize(
    ("name", "environ", "wanted"),
    [
        ("cpu", {}, {}),
        ("cuda:1", {}, {"CUDA_VISIBLE_DEVICES": "1"}),
        ("cuda:1", {"CUDA_VISIBLE_DEVICES": "4, 6"}, {"CUDA_VISIBLE_DEVICES": "6"}),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "GPU-abc"}, {"CUDA_VISIBLE_DEVICES": "GPU-abc"}),
        ("xpu:1", {}, {"ZE_AFFINITY_MASK": "1"}),
    ],
)
def test_a_process_sees_its_gpu_alone_also_where_its_parent_sees_some(name, environ, wanted):
    assert seen_alone(name, environ) == wanted
