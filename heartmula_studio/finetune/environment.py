"""Variables of the environment that would change what a run computes, and what becomes of each.

A run computes what its config.json says, wherever and however it is started. Variables that only choose among kernels
of the same precision, use memory differently, or report more are let be: they change no more than a rounding.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from heartmula_studio.errors import InvalidInputError

FSDP_HINT = "Share a full fine-tune out over several GPUs with heartmula_studio/finetune/fsdp.yaml."
REDUCED_PRECISION = "it would compute in fewer bits than config.json says, and is read before a run can change it"


@dataclass(frozen=True)
class Variable:
    """A variable that would change what is computed.

    why: what happens instead, or why a run cannot begin. harmless: values, in lower case, that ask for nothing.
    hint: for a refused one, what to do beside unsetting it.
    """

    why: str
    harmless: tuple[str, ...] = ("", "0", "false", "no")
    hint: str = ""


IGNORED = {
    "ACCELERATE_DYNAMO_BACKEND": Variable("training is not compiled"),
    "ACCELERATE_FP8_BACKEND": Variable("config.json knows no fp8"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": Variable(
        "gradient_accumulation_steps in config.json decides", harmless=("", "1")
    ),
    "ACCELERATE_MIXED_PRECISION": Variable("mixed_precision in config.json decides"),
    "ACCELERATE_TORCH_DEVICE": Variable("ACCELERATE_USE_CPU and CUDA_VISIBLE_DEVICES choose the device", ("",)),
    "FSDP_IGNORED_MODULES": Variable("all weights are shared out, or each process would train some alone", ("",)),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": Variable("float32 is computed in float32"),
}
REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": Variable("training does not run on DeepSpeed", hint=FSDP_HINT),
    "ACCELERATE_USE_MEGATRON_LM": Variable("training does not run on Megatron-LM", hint=FSDP_HINT),
    "ACCELERATE_USE_PARALLELISM_CONFIG": Variable("layers and sequences are not split over GPUs", hint=FSDP_HINT),
    "ACCELERATE_USE_SAGEMAKER": Variable("training does not run on SageMaker's own library", hint=FSDP_HINT),
    "NVIDIA_TF32_OVERRIDE": Variable(REDUCED_PRECISION),
    "ONEDNN_DEFAULT_FPMATH_MODE": Variable(REDUCED_PRECISION, ("", "strict")),
    "DNNL_DEFAULT_FPMATH_MODE": Variable(REDUCED_PRECISION, ("", "strict")),
    "PYTORCH_MPS_FAST_MATH": Variable(REDUCED_PRECISION),
}


def take_variables() -> dict[str, str]:
    """Remove the variables above from this process's environment, and return those that ask for something.

    To be called before Accelerate is: it reads some of them as soon as it is.
    """
    found = {name: os.environ.pop(name) for name in (IGNORED | REFUSED) if name in os.environ}
    return {name: value for name, value in found.items() if value.lower() not in (IGNORED | REFUSED)[name].harmless}


def ignored_notes(found: Mapping[str, str]) -> list[str]:
    """Say of each ignored variable among those `found` what happens instead."""
    return [f"{name}={value} is ignored: {IGNORED[name].why}." for name, value in found.items() if name in IGNORED]


def require_none_refused(found: Mapping[str, str]) -> None:
    """Raise InvalidInputError where one of the variables `found` asks for what a run cannot do."""
    for name, value in found.items():
        if name in REFUSED:
            variable = REFUSED[name]
            raise InvalidInputError(
                f"The environment sets {name}={value}: {variable.why}.",
                f"Unset {name}, or leave out what sets it in the configuration of Accelerate. {variable.hint}".strip(),
            )


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute products of float32 in float32: PyTorch has read its own variable before this code can run."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
