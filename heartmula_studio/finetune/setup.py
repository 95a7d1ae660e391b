"""Everything a run works with, built once from config and folder: data, network, optimizer, plan."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from heartmula_studio.arch.checkpoints import (
    BaseFolder,
    find_base,
    read_codec_config,
    read_heartmula_config,
    root_of,
)
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.arch.pairing import require_codec_of_model
from heartmula_studio.dataset.catalogue_folder import is_catalogue
from heartmula_studio.dataset.prompt import SpecialTokens
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.finetune.adam8bit import Adam8bit
from heartmula_studio.finetune.agreement import in_every_process, require_alike, require_one_process
from heartmula_studio.finetune.checkpoint_meta import ParentId
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.data_plan import RunPlan
from heartmula_studio.finetune.examples import ExampleSet, TrainSet, load_sets
from heartmula_studio.finetune.model_setup import load_network, parameter_groups, trainable_weights, unwrap_base
from heartmula_studio.finetune.parent import Parent, require_same_base
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.finetune.sharding import gather_full, prepare, shard_on_cpu_too, sharding_plugin
from heartmula_studio.finetune.streamed_examples import load_catalogue_sets
from heartmula_studio.finetune.tracking import require_tracker
from heartmula_studio.finetune.weight_average import WeightAverage

if TYPE_CHECKING:
    from peft import PeftModel

ADAM_BETAS = (0.9, 0.95)
# Settings that say where things lie, what is written or how memory is used, not what is computed.
_FREE_SETTINGS = (
    "base_model",
    "dataset",
    "state_every_steps",
    "tracker",
    "save_dtype",
    "gradient_checkpointing",
    "ladder_rungs",
    "ladder_max_gb",
    "preview_songs",
    "preview_sec",
    "preview_seed",
)


@dataclass(frozen=True)
class Setup:
    """A run's parts. They stay the same while the run goes on; the weights change."""

    config: TrainConfig
    accelerator: Accelerator
    base: BaseFolder
    base_fingerprint: str
    network: "HeartMuLa | PeftModel"
    model: nn.Module  # `network`, wrapped or sharded for several processes where there are any
    optimizer: AcceleratedOptimizer
    train_set: TrainSet
    held_out: ExampleSet
    plan: RunPlan
    num_codebooks: int
    identity: dict[str, Any]  # see `run_identity`
    parent: ParentId | None  # the checkpoint that it started from
    pissa_start: dict[str, Tensor]  # what a PiSSA took from the base; empty for other kinds
    average: WeightAverage | None  # of what is trained, where `ema_decay` asks for it

    def gather_weights(self) -> dict[str, Tensor]:
        """Return what is trained, unsharded, on the main process; nothing on the others. All processes take part."""
        return gather_full(trainable_weights(self.network), keep=self.accelerator.is_main_process)

    def averaged(self) -> AbstractContextManager[None]:
        """Have the weights that count in the network: the average, where there is one."""
        return self.average.applied() if self.average else nullcontext()


def set_up(folder: RunFolder, config: TrainConfig) -> Setup:
    """Build everything. Raises as `load`, `require_alike` and the functions below do."""
    require_tracker(config)
    accelerator = make_accelerator(config, folder.tracking)
    require_one_process(config, accelerator.num_processes)
    base, network, train_set, held_out = in_every_process(lambda: load(folder, config, accelerator.device))
    base_fingerprint, parent = fingerprint(base.model), parent_folder(folder, config, base)
    identity = run_identity(config, base_fingerprint, train_set, held_out, accelerator.num_processes)
    if parent:
        identity["parent"] = fingerprint(parent)
    require_alike(identity)
    is_pissa = config.method == "lora" and config.lora.kind == "pissa"
    pissa_start = {name: tensor.clone() for name, tensor in trainable_weights(network).items()} if is_pissa else {}
    model, optimizer = prepare(accelerator, network, make_optimizer(network, config))
    step_size = config.batch_size * config.gradient_accumulation_steps * accelerator.num_processes
    return Setup(
        config=config,
        accelerator=accelerator,
        base=base,
        base_fingerprint=base_fingerprint,
        network=network,
        model=model,
        optimizer=optimizer,
        train_set=train_set,
        held_out=held_out,
        plan=RunPlan(len(train_set), step_size, config.epochs, config.max_steps, config.seed),
        num_codebooks=unwrap_base(network).config.audio_num_codebooks,
        identity=identity,
        parent=Parent.read(parent).id if parent else None,
        pissa_start=pissa_start,
        average=WeightAverage(network, config.ema_decay) if config.ema_decay else None,
    )


def load(
    folder: RunFolder, config: TrainConfig, device: torch.device
) -> tuple[BaseFolder, "HeartMuLa | PeftModel", TrainSet, ExampleSet]:
    """Read base, network, training set and held-out set.

    Raises CheckpointMismatchError where model and codec are no pair; else as `find_base`, `load_network` and
    `load_sets` do.
    """
    root = root_of(folder.base(config.base_model))
    base = find_base(folder.base(config.base_model))
    audio_eos_id = SpecialTokens.load(base.gen_config).audio_eos_id
    require_codec_of_model(read_heartmula_config(base.model), read_codec_config(base.codec), audio_eos_id)
    network = load_network(base, config, device, parent_folder(folder, config, base))
    sizes = unwrap_base(network).config
    dataset = folder.path / config.dataset
    load_all = load_catalogue_sets if is_catalogue(dataset) else load_sets
    train_set, held_out = load_all(dataset, base, sizes, config, root)
    return base, network, train_set, held_out


def parent_folder(folder: RunFolder, config: TrainConfig, base: BaseFolder) -> Path | None:
    """Return the checkpoint that the run starts from, None for the base alone.

    It is the run's own copy, else what `start_from` names from there. Raises as `Parent.read`, and
    CheckpointMismatchError for one of another base.
    """
    if not config.start_from:
        return None
    path = folder.parent if folder.parent.is_dir() else folder.path / config.start_from
    require_same_base(Parent.read(path), base.model)
    return path


def make_accelerator(config: TrainConfig, tracking: Path) -> Accelerator:
    """Make the accelerator. Raises InvalidInputError where the device cannot compute so, or FSDP 1 is asked for."""
    handlers = [DistributedDataParallelKwargs(broadcast_buffers=False)]  # there are none
    plugin, mixed_precision = sharding_plugin(config.method), config.mixed_precision
    try:
        accelerator = Accelerator(
            mixed_precision=mixed_precision,
            fsdp_plugin=plugin,
            kwargs_handlers=handlers,
            log_with=None if config.tracker == "none" else config.tracker,
            project_dir=tracking,
        )
    except ValueError as error:
        raise InvalidInputError(f"mixed_precision {mixed_precision} fails here: {error}.", "Use no or bf16.") from error
    if mixed_precision == "fp16" and accelerator.device.type == "cpu":  # Accelerate would silently compute in float32
        raise InvalidInputError("mixed_precision fp16 needs a GPU, and there is none.", "Use no or bf16.")
    shard_on_cpu_too(accelerator, plugin)
    return accelerator


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Make the optimizer of a network that was loaded as `config` says."""
    make = Adam8bit if config.is_full_in_16_bits else torch.optim.AdamW
    # Decay would pull a PiSSA, which begins as a part of the base, away from it.
    weight_decay = 0.0 if config.method == "lora" and config.lora.kind == "pissa" else config.weight_decay
    return make(parameter_groups(network, weight_decay), lr=config.peak_learning_rate, betas=ADAM_BETAS)


def run_identity(
    config: TrainConfig, base_fingerprint: str, train_set: TrainSet, held_out: ExampleSet, num_processes: int
) -> dict[str, Any]:
    """Name what must stay the same for a saved state to be continued."""
    return {
        **{name: value for name, value in config.to_dict().items() if name not in _FREE_SETTINGS},
        "base": base_fingerprint,
        "examples": train_set.digest(),
        "held_out": held_out.digest(),
        "num_processes": num_processes,
    }
