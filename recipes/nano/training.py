"""What the codec's training scripts share: a resumable loop with a cosine schedule and checkpoints in one file.

Under `torchrun` each process takes its own crops and gradients are averaged. On a CPU, one process a core with one
thread each is about twice as fast as one process with two threads: convolutions' backward pass runs on one thread.
"""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from heartmula_studio.files.atomic import replaced_file

LOG_EVERY = 20
SAVE_EVERY = 100
WARMUP_STEPS = 100


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then a cosine down to a twentieth of the peak."""
    if step < WARMUP_STEPS:
        return peak * (step + 1) / WARMUP_STEPS
    progress = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def join_processes() -> int:
    """Join the group that `torchrun` started, if any; return this process's rank."""
    if "RANK" in os.environ and not dist.is_initialized():
        torch.set_num_threads(1)
        dist.init_process_group("gloo")
    return dist.get_rank() if dist.is_initialized() else 0


def training_device() -> torch.device:
    """A GPU where there is one: then a single process is meant, which several CPU cores only replace."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def average_gradients(parameters: list[nn.Parameter]) -> None:
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def run_training(
    model: nn.Module,
    loss_of: Callable[[int], dict[str, Tensor]],
    steps: int,
    peak_learning_rate: float,
    state_path: Path,
) -> None:
    """Minimise `loss_of(step)["loss"]`, logging to `<state_path>.jsonl`; continues from `state_path` if it exists."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, betas=(0.8, 0.99), weight_decay=0.01)
    start, is_main = load_state(model, optimiser, state_path), join_processes() == 0
    begun = time.monotonic()
    for step in range(start, steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, steps, peak_learning_rate)
        losses = loss_of(step)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if is_main and step % LOG_EVERY == 0:
            speed = (step - start + 1) / (time.monotonic() - begun)
            report(state_path, {"step": step, "grad_norm": norm, "steps_per_sec": speed, **losses})
        if is_main and ((step + 1) % SAVE_EVERY == 0 or step + 1 == steps):
            save_state(model, optimiser, step + 1, state_path)


def report(state_path: Path, values: dict) -> None:
    line = json.dumps({key: round(torch.as_tensor(value).item(), 5) for key, value in values.items()})
    with state_path.with_suffix(".jsonl").open("a", encoding="utf-8") as log:
        log.write(line + "\n")
    print(line, flush=True)


def save_state(model: nn.Module, optimiser: torch.optim.Optimizer, step: int, path: Path) -> None:
    with replaced_file(path) as temporary:
        torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, temporary)


def load_state(model: nn.Module, optimiser: torch.optim.Optimizer, path: Path) -> int:
    """Restore model and optimiser; return the step to go on from."""
    if not path.is_file():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"]
