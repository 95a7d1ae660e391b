"""What a training step costs: its time, its share of what matrix products reach, and its memory beside the estimate."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from benchmarks.report import gpu_peak_mib
from benchmarks.studio_process import MIB
from heartmula_studio.arch.checkpoints import BaseFolder
from heartmula_studio.arch.frames import frames_of
from heartmula_studio.dataset.batch import Batch, make_example
from heartmula_studio.dataset.prompt import PromptLayout
from heartmula_studio.finetune.adam8bit import Adam8bit
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.costs.flops import PASSES, WindowSize, forward_flops
from heartmula_studio.finetune.costs.memory import training_bytes
from heartmula_studio.finetune.evaluate import batch_loss
from heartmula_studio.finetune.model_setup import load_network, unwrap_base
from heartmula_studio.finetune.setup import make_optimizer
from heartmula_studio.services.planning.throughput import matmul_speed, precision

WINDOWS_SEC = (30, 60, 120, 240)
LEARNT_SEC, LEARNT_STEPS, LEARNT_RATE = 30, 30, 1e-3
HEADS = ("training", "a step", "for a second of sound", "of matrix products' speed", "memory (MiB)", "estimate")
METHODS = {
    "cpu": (("lora", "float32"), ("lora", "nf4")),
    "cuda": (("lora", "bfloat16"), ("lora", "nf4"), ("full", "bfloat16")),
}


class StepBench:
    """`seconds(work)` times work as often as it should be."""

    def __init__(self, base: BaseFolder, device: torch.device, seconds: Callable[[Callable[[], object]], float]):
        self._base, self._device, self._seconds = base, device, seconds
        self._layout = PromptLayout.load(base)

    def rows(self) -> Iterator[tuple[str, ...]]:
        for method, base_dtype in METHODS[self._device.type]:
            yield from self._rows_of(self._config(method, base_dtype))

    def _config(self, method: str, base_dtype: str) -> TrainConfig:
        on_gpu = self._device.type == "cuda"
        precision = "bf16" if on_gpu else "no"
        return TrainConfig(
            method=method, base_dtype=base_dtype, mixed_precision=precision, gradient_checkpointing=on_gpu
        )

    def _rows_of(self, config: TrainConfig) -> Iterator[tuple[str, ...]]:
        network = load_network(self._base, config, self._device)
        optimizer = make_optimizer(network, config)
        for seconds in WINDOWS_SEC:
            batch = self._batch(network, seconds)
            self._begin_peak()
            spent = self._seconds(partial(train_step, network, optimizer, batch, config))
            speed = self._flops(network, batch, config) / spent
            yield (
                f"{config.method}, {seconds} s, weights in {config.base_dtype}",
                f"{spent:.2f} s",
                f"{1000 * spent / seconds:.1f} ms",
                f"{speed / matmul_speed(str(self._device), precision(config)):.0%}",
                self._peak(),
                f"{training_bytes(config, self._base, seconds, str(self._device)) / MIB:,.0f}",
            )

    def _batch(self, network: nn.Module, seconds: float) -> Batch:
        num_codebooks = unwrap_base(network).config.audio_num_codebooks
        num_codes = self._layout.special.audio_eos_id - 1  # upstream keeps one id between the codes and the end
        codes = torch.randint(0, num_codes, (num_codebooks, frames_of(seconds)))
        prompt = self._layout.build("piano, calm", "")
        return Batch.collate([make_example(prompt, codes, self._layout.special, ends_song=True)]).to(self._device)

    def _flops(self, network: nn.Module, batch: Batch, config: TrainConfig) -> float:
        size = WindowSize(batch.tokens.shape[1], len(batch.targets))
        passes = PASSES[config.method] + config.gradient_checkpointing
        return passes * forward_flops(unwrap_base(network).config, size)

    def _begin_peak(self) -> None:
        if self._device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak(self) -> str:
        """A CPU's memory has no such counter."""
        return f"{gpu_peak_mib(self._device):,.0f}" if self._device.type == "cuda" else "-"

    def loss_rows(self) -> Iterator[tuple[str, str]]:
        """What the same training comes to on a base in four bits."""
        kinds = METHODS[self._device.type][:2]
        plain, quantised = (self._loss_after(self._config(method, base_dtype)) for method, base_dtype in kinds)
        yield (
            f"loss on {LEARNT_SEC} s after {LEARNT_STEPS} steps, base as it is and in nf4",
            f"{plain:.3f}, {quantised:.3f} ({quantised / plain - 1:+.1%})",
        )

    def _loss_after(self, config: TrainConfig) -> float:
        config = replace(config, learning_rate=LEARNT_RATE)
        torch.manual_seed(0)
        network = load_network(self._base, config, self._device)
        torch.manual_seed(0)
        optimizer, batch = make_optimizer(network, config), self._batch(network, LEARNT_SEC)
        for _ in range(LEARNT_STEPS):
            train_step(network, optimizer, batch, config)
        with torch.no_grad():
            return loss_of(network, batch, config).item()


def loss_of(network: nn.Module, batch: Batch, config: TrainConfig) -> torch.Tensor:
    with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=config.mixed_precision == "bf16"):
        return batch_loss(network, batch).total()


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainConfig) -> None:
    """What the trainer does in a step, but for its records."""
    loss_of(network, batch, config).backward()
    if isinstance(optimizer, Adam8bit):
        optimizer.gradients.clip(config.max_grad_norm)
    else:
        nn.utils.clip_grad_norm_([p for p in network.parameters() if p.requires_grad], config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
