"""One micro-batch with its random draws: whose prompt is dropped, which frames the depth decoder trains on."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from heartmula_studio.dataset.batch import Batch
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.data_plan import draw_example
from heartmula_studio.finetune.examples import ExampleSet


def draw_batch(
    examples: ExampleSet, indices: Sequence[int], epoch: int, config: TrainConfig, device: torch.device
) -> tuple[Batch, Tensor | None]:
    """Make the batch of `indices`, and the rows of its targets for the depth decoder, [M] int64; None means all."""
    batch = Batch.collate([examples[i] for i in indices])
    num_targets = [examples.num_targets(i) for i in indices]
    draws = [
        draw_example(config.seed, epoch, i, n, config.conditioning_dropout, config.depth_frame_fraction)
        for i, n in zip(indices, num_targets, strict=True)
    ]
    unconditional = [examples.is_unconditional(i, draw.unconditional) for i, draw in zip(indices, draws, strict=True)]
    batch = replace(batch, unconditional=torch.tensor(unconditional)).to(device)
    if config.depth_frame_fraction == 1:
        return batch, None
    first_rows = [sum(num_targets[:place]) for place in range(len(indices))]
    rows = [first + torch.from_numpy(draw.depth_frames) for first, draw in zip(first_rows, draws, strict=True)]
    return batch, torch.cat(rows).to(device)
