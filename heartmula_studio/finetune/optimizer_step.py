"""One optimizer step: the gradients of its examples, accumulated, clipped and applied.

The same for one process and many: gradients are divided by the frame counts of the whole step, which every process
knows beforehand, so that a step's gradient does not depend on how its examples were shared out.
"""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from heartmula_studio.errors import NonFiniteLossError
from heartmula_studio.finetune.adam8bit import Adam8bit
from heartmula_studio.finetune.batches import draw_batch
from heartmula_studio.finetune.data_plan import StepPlan, frame_counts, torch_seed
from heartmula_studio.finetune.evaluate import NON_FINITE_HINT, MeanLoss, batch_loss, mean_loss
from heartmula_studio.finetune.schedule import learning_rate
from heartmula_studio.finetune.setup import Setup

LOWEST_LOSS_SCALE = 1.0  # fp16 gradients that overflow even at this scale are broken, not badly scaled


@dataclass(frozen=True)
class StepResult:
    """A step that was taken. `epoch` counts from 0; `grad_norm` is that before clipping."""

    epoch: int
    loss: MeanLoss
    lr: float
    grad_norm: float
    seconds: float
    stop_requested: bool  # of any process


def take_step(setup: Setup, step: int, stop_requested: bool) -> StepResult:
    """Take optimizer step number `step`, counted from 0, on all processes. Raises NonFiniteLossError in all of them.

    stop_requested: whether this process was asked to stop.
    """
    started = time.perf_counter()
    config, plan, device = setup.config, setup.plan.step(step), setup.accelerator.device
    examples = setup.train_set.epoch(plan.epoch)
    num_targets = [examples.num_targets(i) for i in plan.examples]
    counts = torch.tensor(frame_counts(num_targets, config.depth_frame_fraction, setup.num_codebooks), device=device)
    sums = accumulate_gradients(setup, step, plan, counts)
    stop_vote = sums.new_tensor([float(stop_requested)])
    totals = setup.accelerator.reduce(torch.cat([sums, stop_vote]), "sum")
    loss = MeanLoss.of(totals[:-1] / counts)
    if not math.isfinite(loss.mean):
        raise non_finite(setup, "loss", step, plan)
    lr = learning_rate(step, setup.plan.total_steps, config.peak_learning_rate, config.schedule, config.warmup_ratio)
    grad_norm = clip_gradients(setup)
    if not math.isfinite(grad_norm) and not may_overflow(setup):
        raise non_finite(setup, "gradient", step, plan)
    update_weights(setup, lr)
    if setup.average:
        setup.average.update(step)
    return StepResult(plan.epoch, loss, lr, grad_norm, time.perf_counter() - started, totals[-1].item() > 0)


def accumulate_gradients(setup: Setup, step: int, plan: StepPlan, counts: Tensor) -> Tensor:
    """Add up this process's gradients of one step; return its loss sums [K]. `counts` [K]: frames of the whole step."""
    config, accelerator = setup.config, setup.accelerator
    processes, process = accelerator.num_processes, accelerator.process_index
    micro_steps = plan.num_micro_steps(processes, config.batch_size)
    sums = torch.zeros(setup.num_codebooks, device=accelerator.device)
    for micro_step in range(micro_steps):
        share = plan.share(micro_step, process, processes, config.batch_size)
        torch.manual_seed(torch_seed(config.seed, step, micro_step * processes + process))
        # Synchronising gradients needs all processes: one without a share runs an example that weighs nothing.
        batch, depth_frames = draw_batch(
            setup.train_set.epoch(plan.epoch), share or plan.examples[:1], plan.epoch, config, accelerator.device
        )
        weight = 1.0 if share else 0.0
        is_last = micro_step == micro_steps - 1
        # Until they are synchronised, the gradients of a sharded network are unsharded in every process.
        is_synchronised = is_last or accelerator.is_fsdp2
        with nullcontext() if is_synchronised else accelerator.no_sync(setup.model):
            parts = batch_loss(setup.model, batch, depth_frames)
            # Gradients are averaged over the processes, hence the factor.
            accelerator.backward(parts.total(counts) * (weight * processes))
        sums += parts.sums.detach() * weight
    return sums


def clip_gradients(setup: Setup) -> float:
    """Scale the gradients down to `max_grad_norm` where they are larger; return their norm before."""
    optimizer, max_norm = setup.optimizer.optimizer, setup.config.max_grad_norm
    if isinstance(optimizer, Adam8bit):
        return optimizer.gradients.clip(max_norm)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return float(setup.accelerator.clip_grad_norm_(parameters, max_norm))


def may_overflow(setup: Setup) -> bool:
    """Tell whether gradients may be infinite: those of fp16, for which the scaler skips a step and lowers its scale."""
    scaler = setup.accelerator.scaler
    return scaler is not None and scaler.get_scale() > LOWEST_LOSS_SCALE


def update_weights(setup: Setup, lr: float) -> None:
    for group in setup.optimizer.param_groups:
        group["lr"] = lr
    setup.optimizer.step()
    setup.optimizer.zero_grad()


def non_finite(setup: Setup, what: str, step: int, plan: StepPlan) -> NonFiniteLossError:
    """Make the error that names the songs whose own loss is not finite, else all of the step's."""
    examples = setup.train_set.epoch(plan.epoch)
    losses = {i: mean_loss(setup.network, [examples[i]], 1, setup.num_codebooks).mean for i in plan.examples}
    culprits = [i for i, loss in losses.items() if not math.isfinite(loss)] or plan.examples
    songs = sorted({examples.song(i) for i in culprits})
    return NonFiniteLossError(f"The {what} is not finite at step {step + 1}, on {', '.join(songs)}.", NON_FINITE_HINT)
