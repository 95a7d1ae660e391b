"""The training objective as a pure function: logits and targets in, per-codebook cross-entropy out.

Codebook 0 is scored on every predicted frame, codebooks 1 to K-1 on the frames the depth decoder was run on.
The loss is the mean over the K codebooks of each codebook's mean over its frames, so every codebook weighs the same
however many frames the depth decoder saw.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


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


def cross_entropy_sums(logits: Tensor, targets: Tensor) -> Tensor:
    """Add up the cross-entropy of each codebook over frames: logits [n, k, V], targets [n, k] → [k] float32."""
    assert logits.shape[:2] == targets.shape, (logits.shape, targets.shape)
    # Codebook by codebook, as the products of their heads lie in memory: so nothing is copied.
    flat = logits.transpose(0, 1).float().flatten(0, 1)
    return F.cross_entropy(flat, targets.T.flatten(), reduction="none").unflatten(0, targets.T.shape).sum(1)
