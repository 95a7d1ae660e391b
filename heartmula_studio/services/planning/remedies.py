"""Shortages of memory or disk for a training run, and settings that would make it fit."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.device_name import is_gpu
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.costs.memory import host_bytes, tensor_shapes, training_bytes
from heartmula_studio.services.devices import GB, total_bytes
from heartmula_studio.store.views import Estimate, Problem

SHORT_WINDOW_SEC, SMALL_RANK = 30.0, 8
SHORT_WINDOWS = f"windows of {SHORT_WINDOW_SEC:g} s (which cost songs their form: few then end by themselves)"


def in_sixteen_bits(config: TrainConfig) -> TrainConfig:
    """With all weights of a full fine-tune in bfloat16 and few activations, where what it computes in allows it."""
    is_possible = config.method == "full" and config.mixed_precision != "fp16"
    return replace(config, base_dtype="bfloat16", gradient_checkpointing=True) if is_possible else config


def in_four_bits(config: TrainConfig) -> TrainConfig:
    """With the base in NF4, where the method allows it."""
    is_possible = config.method == "lora" and config.lora.kind == "lora" and not config.lora.use_dora
    return replace(config, base_dtype="nf4") if is_possible else config


REMEDIES: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "weights in 16 bits with checkpointing": in_sixteen_bits,
    "gradient checkpointing": lambda config: replace(config, gradient_checkpointing=True),
    "LoRA instead of full": lambda config: replace(config, method="lora"),
    "a base in 4 bits": in_four_bits,
    SHORT_WINDOWS: lambda config: replace(config, max_window_sec=min(config.max_window_sec, SHORT_WINDOW_SEC)),
    "a batch size of 1": lambda config: replace(config, batch_size=1),
    f"a LoRA rank of {SMALL_RANK}": lambda config: replace(
        config, lora=replace(config.lora, rank=min(config.lora.rank, SMALL_RANK))
    ),
}


def shortages(estimate: Estimate, config: TrainConfig, base: BaseFolder, longest_sec: float) -> Iterator[Problem]:
    """Compare what a run takes with what there is. `longest_sec`: of the longest song."""
    if estimate.memory_bytes > estimate.device_memory_bytes:
        there = estimate.device_memory_bytes
        place = "the GPU" if is_gpu(estimate.device) else "this computer"
        lack = f"it needs {in_gb(estimate.memory_bytes)} of memory, and {place} has {in_gb(there)}"
        yield Problem(f"This will not fit: {lack}.", remedy(config, base, longest_sec, estimate.device, there))
    if is_gpu(estimate.device):
        yield from host_shortages(config, base)
    if estimate.disk_bytes > estimate.free_disk_bytes:
        lack = f"it needs {in_gb(estimate.disk_bytes)}, and {in_gb(estimate.free_disk_bytes)} are free"
        instead = ", or train a LoRA instead of full" if config.method == "full" else ""
        yield Problem(f"This will not fit on the disk: {lack}.", f"Free some disk{instead}.")


def host_shortages(config: TrainConfig, base: BaseFolder) -> Iterator[Problem]:
    """Compare what a run on a GPU keeps in the computer's memory with what there is."""
    needed, there = host_bytes(tensor_shapes(base.model), config), total_bytes("cpu")
    if needed > there:
        lack = f"beside the GPU it needs {in_gb(needed)} of this computer's memory, which has {in_gb(there)}"
        yield Problem(f"This will not fit: {lack}.", "Use LoRA instead of full.")


def remedy(config: TrainConfig, base: BaseFolder, longest_sec: float, device: str, there: int) -> str:
    """Name each change that is enough alone; else the first few that are enough together."""

    def needed(changed: TrainConfig) -> int:
        return training_bytes(changed, base, longest_sec, device)

    helpful = [(words, change) for words, change in REMEDIES.items() if needed(change(config)) < needed(config)]
    if enough := [words for words, change in helpful if needed(change(config)) <= there]:
        return f"Use {' or '.join(enough)}."
    together: list[str] = []
    for words, change in helpful:
        config = change(config)
        together.append(words)
        if needed(config) <= there:
            return f"Use {' and '.join(together)}."
    return "No setting makes it fit: use a smaller base model, or a device with more memory."


def in_gb(num_bytes: int) -> str:
    return f"{num_bytes / GB:.1f} GB"
