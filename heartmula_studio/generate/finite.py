"""Weights and what a model makes of them have to be numbers, before it is asked for a song."""

from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.heartmula import HeartMuLa
from heartmula_studio.errors import CheckpointCorruptError

DIVERGED_HINT = "Its training diverged. Use another checkpoint, or train again with a lower learning rate."


def require_finite(tensor: Tensor, path: Path, name: str) -> None:
    """Raise CheckpointCorruptError, naming the file and the layer or tensor, for NaN and infinite values."""
    if not tensor.isfinite().all():
        raise CheckpointCorruptError(f"{path} holds values that are not numbers ({name}).", DIVERGED_HINT)


@torch.inference_mode()
def require_finite_logits(model: HeartMuLa, style: Path) -> None:
    """Predict one frame. Raises CheckpointCorruptError, naming the style, where a logit is not a number."""
    device, num_codebooks = model.device, model.config.audio_num_codebooks
    one = torch.ones(1, 1, dtype=torch.bool, device=device)
    tokens = torch.zeros(1, 1, num_codebooks + 1, dtype=torch.int64, device=device)
    logits = model(
        tokens,
        mask=torch.ones_like(tokens, dtype=torch.bool),
        muq_positions=torch.full((1,), -1, device=device),
        unconditional=~one[0],
        predict=one,
        targets=tokens[0, :, :-1],
    )
    if not all(codebook.isfinite().all() for codebook in logits):
        raise CheckpointCorruptError(
            f"With the style in {style}, what the model computes is not a number.", DIVERGED_HINT
        )
