"""The training objective as pure functions: logits and targets in, per-codebook cross-entropy out.

Codebook 0 is scored on every predicted frame, codebooks 1 to K-1 on the frames the depth decoder was run on.
The loss is the mean over the K codebooks of each codebook's mean over its frames, so every codebook weighs the same
however many frames the depth decoder saw.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossParts:
    """Cross-entropy (nats) summed over frames, and how many frames that was, for each codebook."""

    sums: Tensor  # [K] float32, differentiable
    counts: Tensor  # [K] int64

    def per_codebook(self, counts: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy of each codebook, [K].

        `counts` [K] replaces the own frame counts: with those of a whole batch, the losses of its parts add up to
        the batch's loss, whatever the parts' lengths.
        """
        return self.sums / (self.counts if counts is None else counts)

    def total(self, counts: Tensor | None = None) -> Tensor:
        """Return the mean over codebooks of `per_codebook`, a scalar."""
        return self.per_codebook(counts).mean()


def frame_loss(
    codebook0_logits: Tensor, depth_logits: Tensor, targets: Tensor, depth_frames: Tensor | None = None
) -> LossParts:
    """Compute the cross-entropy of every codebook.

    codebook0_logits: [N, V] one row per predicted frame. depth_logits: [M, K-1, V] codebooks 1 to K-1 of the frames
    in `depth_frames`. targets: [N, K] the codes to be predicted, end frames included. depth_frames: [M] indices into
    N; None means all of them in order.
    """
    depth_targets = targets[:, 1:] if depth_frames is None else targets[depth_frames, 1:]
    N, M, K = len(targets), len(depth_targets), targets.shape[1]
    assert len(codebook0_logits) == N, (codebook0_logits.shape, targets.shape)
    assert depth_logits.shape[:2] == (M, K - 1), (depth_logits.shape, targets.shape)
    codebook0_sum = F.cross_entropy(codebook0_logits.float(), targets[:, 0], reduction="sum")
    depth_losses = F.cross_entropy(depth_logits.float().flatten(0, 1), depth_targets.flatten(), reduction="none")
    depth_sums = depth_losses.unflatten(0, (M, K - 1)).sum(0)
    counts = torch.tensor([N] + [M] * (K - 1), device=targets.device)
    return LossParts(torch.cat([codebook0_sum[None], depth_sums]), counts)
