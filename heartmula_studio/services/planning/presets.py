"""Presets of a training, counted in steps of the base's record, and the advice where too few can be heard."""

from collections.abc import Callable
from dataclasses import replace

from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.training_record import TrainingRecord
from heartmula_studio.store.views import Estimate, Preset, Problem

Estimates = Callable[[TrainConfig], Estimate]

FAST, BALANCED, THOROUGH = "Fast", "Balanced", "Thorough"


def presets_of(config: TrainConfig, record: TrainingRecord, estimate: Estimates) -> tuple[Preset, ...]:
    """Return the presets for what `config` says of everything else; none where there is nothing to train on.

    Each has the number of epochs whose steps come closest to the record's, and the record's rank where memory allows.
    """
    config = replace(config, max_steps=None)
    per_epoch = estimate(replace(config, epochs=1)).steps
    if not per_epoch:
        return ()
    targets = {FAST: record.fast_steps, BALANCED: record.balanced_steps, THOROUGH: record.thorough_steps}
    return tuple(
        _preset(name, replace(config, epochs=max(1, round(steps / per_epoch))), record, estimate)
        for name, steps in targets.items()
    )


def _preset(name: str, config: TrainConfig, record: TrainingRecord, estimate: Estimates) -> Preset:
    is_new_lora = config.method == "lora" and not config.start_from
    asked = estimate(with_rank(config, record.preset_rank)) if is_new_lora else None
    if asked and asked.memory_bytes <= asked.device_memory_bytes:
        settings = {"epochs": config.epochs, "lora_rank": record.preset_rank}
        return Preset(name, asked.steps, asked.seconds, settings)
    found, rank = estimate(config), {"lora_rank": config.lora.rank} if is_new_lora else {}
    return Preset(name, found.steps, found.seconds, {"epochs": config.epochs} | rank)


def with_rank(config: TrainConfig, rank: int) -> TrainConfig:
    """Return a config with another rank, and twice of it as alpha."""
    return replace(config, lora=replace(config.lora, rank=rank, alpha=2.0 * rank))


def advice_on(found: Estimate, config: TrainConfig, record: TrainingRecord, estimate: Estimates) -> tuple[Problem, ...]:
    """Say of a new LoRA that fewer steps than the fewest which were heard are too few, and what would do."""
    if config.method != "lora" or config.start_from or not 0 < found.steps < record.fast_steps:
        return ()
    balanced = next(preset for preset in presets_of(config, record, estimate) if preset.name == BALANCED)
    if found.steps >= balanced.steps:
        return ()
    minutes = max(1, round(balanced.seconds / 60))
    said = f"{BALANCED} is {balanced.steps:,}, about {minutes} {'minute' if minutes == 1 else 'minutes'}."
    return (Problem(f"{found.steps:,} steps: too few to hear.", said),)
