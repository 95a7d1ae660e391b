"""Everything a run works with, built once from config and folder: data, network, optimizer, plan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.optimizer import AcceleratedOptimizer
from peft import PeftModel
from torch import nn

from heartmula_studio.arch.checkpoints import BUNDLED_BASE, BaseFolder, find_base
from heartmula_studio.arch.fingerprint import fingerprint
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.examples import ExampleSet, load_examples
from heartmula_studio.finetune.methods import base_of, load_network, parameter_groups
from heartmula_studio.finetune.plan import RunPlan
from heartmula_studio.finetune.sharding import prepare, shard_on_cpu_too, sharding_plugin

ADAM_BETAS = (0.9, 0.95)
# Settings that say where things lie, what is written or how memory is used, not what is computed.
_FREE_SETTINGS = ("base_model", "dataset", "state_every_steps", "save_dtype", "gradient_checkpointing")


@dataclass(frozen=True)
class Setup:
    accelerator: Accelerator
    base: BaseFolder
    base_fingerprint: str
    network: HeartMuLa | PeftModel
    model: nn.Module  # `network`, wrapped or sharded for several processes where there are any
    optimizer: AcceleratedOptimizer
    train_set: ExampleSet
    held_out: ExampleSet
    plan: RunPlan
    num_codebooks: int


def set_up(job_dir: Path, config: TrainConfig) -> Setup:
    """Build everything. Raises as `find_base`, `load_heartmula`, `load_examples` and `make_accelerator` do."""
    accelerator = make_accelerator(config.mixed_precision, config.method)
    base = find_base(BUNDLED_BASE if config.base_model == BUNDLED_BASE else job_dir / config.base_model)
    network = load_network(base, config, accelerator.device)
    network_config = base_of(network).config
    train_set, held_out = load_examples(job_dir / config.dataset, base, network_config, config.max_window_sec)
    optimizer = torch.optim.AdamW(
        parameter_groups(network, config.weight_decay), lr=config.learning_rate, betas=ADAM_BETAS
    )
    model, optimizer = prepare(accelerator, network, optimizer)
    step_size = config.batch_size * config.gradient_accumulation_steps * accelerator.num_processes
    return Setup(
        accelerator=accelerator,
        base=base,
        base_fingerprint=fingerprint(base.model),
        network=network,
        model=model,
        optimizer=optimizer,
        train_set=train_set,
        held_out=held_out,
        plan=RunPlan(len(train_set), step_size, config.epochs, config.max_steps, config.seed),
        num_codebooks=network_config.audio_num_codebooks,
    )


def make_accelerator(mixed_precision: str, method: str) -> Accelerator:
    """Make the accelerator. Raises InvalidInputError where the device cannot compute so, or FSDP 1 is asked for."""
    handlers = [DistributedDataParallelKwargs(broadcast_buffers=False)]  # there are none
    plugin = sharding_plugin(method)
    try:
        accelerator = Accelerator(mixed_precision=mixed_precision, fsdp_plugin=plugin, kwargs_handlers=handlers)
    except ValueError as error:
        raise InvalidInputError(f"mixed_precision {mixed_precision} fails here: {error}.", "Use no or bf16.") from error
    if mixed_precision == "fp16" and accelerator.device.type == "cpu":  # Accelerate would silently compute in float32
        raise InvalidInputError("mixed_precision fp16 needs a GPU, and there is none.", "Use no or bf16.")
    shard_on_cpu_too(accelerator, plugin)
    return accelerator


def run_identity(setup: Setup, config: TrainConfig) -> dict[str, Any]:
    """Name what must stay the same for a saved state to be continued."""
    return {
        **{name: value for name, value in config.to_dict().items() if name not in _FREE_SETTINGS},
        "base": setup.base_fingerprint,
        "examples": setup.train_set.digest(),
        "held_out": setup.held_out.digest(),
        "num_processes": setup.accelerator.num_processes,
    }
