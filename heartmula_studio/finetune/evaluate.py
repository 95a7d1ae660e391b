"""The network's loss on batches and on whole example sets. Knows nothing of optimizers or processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heartmula_studio.dataset.batch import Batch, Example
from heartmula_studio.finetune.loss import LossParts, cross_entropy_sums

NON_FINITE_HINT = "Lower learning_rate, or use mixed_precision no or bf16. What was saved before is untouched."


@dataclass(frozen=True)
class MeanLoss:
    """Cross-entropy in nats: its mean over codebooks, and each codebook's mean over frames."""

    mean: float
    per_codebook: tuple[float, ...]

    @classmethod
    def of(cls, per_codebook: Tensor) -> "MeanLoss":
        values = per_codebook.tolist()
        return cls(sum(values) / len(values), tuple(values))


def batch_loss(network: nn.Module, batch: Batch, depth_frames: Tensor | None = None) -> LossParts:
    """Run `network` on `batch`; `depth_frames` [M] restricts codebooks 1 to K-1 to those rows of the targets."""
    sums = network(
        batch.tokens,
        batch.mask,
        batch.muq_positions,
        batch.unconditional,
        batch.predict,
        batch.targets,
        depth_frames,
        cross_entropy_sums,
    )
    num_frames, num_codebooks = batch.targets.shape
    num_deep = num_frames if depth_frames is None else len(depth_frames)
    counts = torch.tensor([num_frames] + [num_deep] * (num_codebooks - 1), device=batch.targets.device)
    return LossParts(torch.cat(sums), counts)


@torch.no_grad()
def sum_losses(network: nn.Module, examples: Sequence[Example], batch_size: int, num_codebooks: int) -> Tensor:
    """Sum losses and frame counts of all `examples`, [2, K]: evaluation mode, nothing dropped, every frame counted."""
    device = next(network.parameters()).device
    totals = torch.zeros(2, num_codebooks, device=device)
    was_training = network.training
    network.eval()
    for start in range(0, len(examples), batch_size):
        batch = Batch.collate([examples[i] for i in range(start, min(start + batch_size, len(examples)))])
        parts = batch_loss(network, batch.to(device))
        totals += torch.stack([parts.sums, parts.counts])
    network.train(was_training)
    return totals


def mean_loss(network: nn.Module, examples: Sequence[Example], batch_size: int, num_codebooks: int) -> MeanLoss:
    """Measure the loss of `network` on at least one example."""
    sums, counts = sum_losses(network, examples, batch_size, num_codebooks)
    return MeanLoss.of(sums / counts)
