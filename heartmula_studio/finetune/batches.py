"""One micro-batch with its random draws: prompts that are dropped, codes heard wrong, frames for the depth decoder."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from heartmula_studio.dataset.batch import Batch, Example
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.data_plan import draw_example, draw_noise
from heartmula_studio.finetune.examples import Examples


def draw_batch(
    examples: Examples, indices: Sequence[int], epoch: int, config: TrainConfig, device: torch.device
) -> tuple[Batch, Tensor | None]:
    """Make the batch of `indices`, and the rows of its targets for the depth decoder, [M] int64; None means all."""
    batch = Batch.collate([with_noise(examples[i], i, epoch, config) for i in indices])
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


def with_noise(example: Example, index: int, epoch: int, config: TrainConfig) -> Example:
    """Replace codes that are heard by those of other frames of the window; what is predicted stays.

    So the model learns to go on in the style after frames that it got wrong itself.
    """
    if not config.context_noise:
        return example
    first, num_codebooks = example.first_prediction + 1, example.targets.shape[1]
    heard = example.tokens[first:, :num_codebooks]
    if not len(heard):
        return example
    drawn = draw_noise(config.seed, epoch, index, (len(heard), num_codebooks), config.context_noise)
    is_wrong, sources = map(torch.from_numpy, drawn)
    tokens = example.tokens.clone()
    tokens[first:, :num_codebooks] = torch.where(is_wrong, heard.gather(0, sources), heard)
    return replace(example, tokens=tokens)
