"""What a run leaves behind: `checkpoints/best` and `checkpoints/last`, each with a `meta.json` on how it was made.

A LoRA run writes PEFT's own format, a full fine-tune `model.safetensors` and `config.json`.
"""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

import heartmula_studio
from heartmula_studio.arch.checkpoints import write_weights
from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import NonFiniteLossError
from heartmula_studio.files.atomic import recover_folder, replaced_folder
from heartmula_studio.files.hashing import fingerprint
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.model_setup import trainable_weights
from heartmula_studio.finetune.setup import Setup
from heartmula_studio.finetune.sharding import full_tensor
from heartmula_studio.finetune.state import RunProgress

META_SCHEMA = 1
PACKAGES = ("torch", "peft", "accelerate", "datasets")


def save_checkpoint(
    folder: Path,
    network: HeartMuLa | PeftModel,
    weights: Mapping[str, Tensor],
    meta: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Replace `folder` by the trained `weights` of `network` and `meta.json`, whole or not at all.

    dtype: of a full checkpoint's weights; an adapter keeps its own. The `id` in `meta.json` comes from the weights:
    two checkpoints of one id hold the same ones.
    """
    with replaced_folder(folder) as temporary:
        if isinstance(network, PeftModel):
            network.save_pretrained(temporary, save_embedding_layers=False)
            (temporary / "README.md").unlink()  # PEFT's card is a form that nobody has filled in
        else:
            write_weights(weights, network.config.to_dict(), temporary, dtype)
        meta = {"id": fingerprint(temporary), **meta}
        (temporary / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def recover_checkpoints(folder: Path) -> None:
    """Tidy up under `folder` what a killed run was writing; a checkpoint it was about to replace comes back."""
    for name in ("best", "last"):
        recover_folder(folder / name)


def require_finite_weights(network: torch.nn.Module, step: int) -> None:
    """Raise NonFiniteLossError rather than let NaN or infinity reach a file."""
    broken = [name for name, tensor in trainable_weights(network).items() if not full_tensor(tensor).isfinite().all()]
    if broken:
        raise NonFiniteLossError(
            f"After step {step}, {len(broken)} weights are no numbers any more, first {broken[0]}; nothing was saved.",
            "Lower learning_rate, or train with mixed_precision no or bf16. The last saved state is untouched.",
        )


def checkpoint_meta(setup: Setup, config: TrainConfig, progress: RunProgress) -> dict[str, Any]:
    """Describe for `meta.json` how the weights came about. Losses are means over codebooks, in nats, or None."""
    return {
        "schema": META_SCHEMA,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": config.method,
        "base_model": {"name": setup.base.name, "fingerprint": setup.base_fingerprint},
        "step": progress.step,
        "total_steps": setup.plan.total_steps,
        "epochs": setup.plan.epochs_done(progress.step),
        "losses": {name: getattr(progress, f"{name}_loss") for name in ("train", "initial", "eval", "best")},
        "songs": setup.train_set.songs(),
        "held_out_songs": setup.held_out.songs(),
        "config": config.to_dict(),
        "versions": {
            "heartmula_studio": heartmula_studio.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }
