"""Checkpoints of a run: `best`, `last` and the rungs under `checkpoints/`, each with a meta.json on how it was made.

A LoRA run writes PEFT's own format, a full fine-tune `model.safetensors` and `config.json`.
"""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from torch import Tensor, nn

import heartmula_studio
from heartmula_studio.arch.checkpoints import write_weights
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import NonFiniteLossError
from heartmula_studio.files.atomic import recover_folder, replaced_folder
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.finetune.adapters import subtract_start
from heartmula_studio.finetune.checkpoint_meta import SCHEMA, BaseId, CheckpointMeta, RunLosses
from heartmula_studio.finetune.dtypes import DTYPES
from heartmula_studio.finetune.figures import Figures
from heartmula_studio.finetune.model_setup import trainable_weights
from heartmula_studio.finetune.run_folder import CHECKPOINT_NAMES, RunFolder
from heartmula_studio.finetune.setup import Setup
from heartmula_studio.finetune.sharding import full_tensor
from heartmula_studio.finetune.state import RunProgress

PACKAGES = ("torch", "peft", "accelerate", "datasets")


def save_checkpoint(
    folder: Path, setup: Setup, weights: Mapping[str, Tensor], progress: RunProgress, figures: Figures | None = None
) -> None:
    """Replace `folder` by the trained `weights` of a run's network and meta.json, whole or not at all."""
    with replaced_folder(folder) as temporary:
        if isinstance(setup.network, HeartMuLa):
            write_weights(weights, setup.network.config.to_dict(), temporary, DTYPES[setup.config.checkpoint_dtype])
        else:
            # PEFT's card is a form that nobody has filled in, and takes longer to write than the weights.
            setup.network.create_or_update_model_card = leave_out  # type: ignore[method-assign]  # there is no option
            with setup.averaged():
                setup.network.save_pretrained(str(temporary), save_embedding_layers=False)
            if setup.pissa_start:
                subtract_start(temporary, setup.pissa_start)
        checkpoint_meta(fingerprint(temporary), setup, progress, figures).write(temporary)


def leave_out(output_dir: str) -> None:
    """Write no card."""


def recover_checkpoints(folder: RunFolder) -> None:
    """Tidy up what a killed run was writing; a checkpoint it was about to replace comes back."""
    for name in CHECKPOINT_NAMES:
        recover_folder(folder.checkpoint(name))


def require_finite_weights(network: nn.Module, step: int) -> None:
    """Raise NonFiniteLossError rather than let NaN or infinity reach a file."""
    broken = [name for name, tensor in trainable_weights(network).items() if not full_tensor(tensor).isfinite().all()]
    if broken:
        raise NonFiniteLossError(
            f"After step {step}, {len(broken)} weights are no numbers any more, first {broken[0]}; nothing was saved.",
            "Lower learning_rate, or train with mixed_precision no or bf16. The last saved state is untouched.",
        )


def checkpoint_meta(id: str, setup: Setup, progress: RunProgress, figures: Figures | None) -> CheckpointMeta:
    """Describe how the weights came about."""
    return CheckpointMeta(
        id=id,
        schema=SCHEMA,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        method=setup.config.method,
        base_model=BaseId(setup.base.name, setup.base_fingerprint),
        step=progress.step,
        total_steps=setup.plan.total_steps,
        epochs=setup.plan.epochs_done(progress.step),
        losses=RunLosses(progress.train_loss, progress.initial_loss, progress.eval_loss, progress.best_loss),
        songs=tuple(setup.train_set.songs()),
        held_out_songs=tuple(setup.held_out.songs()),
        config=setup.config.to_dict(),
        versions={
            "heartmula_studio": heartmula_studio.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
        parent=setup.parent,
        trigger_word=setup.config.trigger_word,
        figures=figures,
    )
