"""Find the codewords: those that are nearest to the levels of music, codebook by codebook.

    python -m recipes.nano.tones.train_quantiser --work DIR

Writes DIR/tokenizer.pt. Nothing in it is trained by gradients: codebooks that were learnt along with what makes levels
of them told less of the notes (see `recipes/nano/README.md`).
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.tone_encoder import ToneEncoder
from recipes.nano.base_folder import write_trained_state
from recipes.nano.tones.level_pool import LevelPool
from recipes.nano.tones.sizes import ENCODER, LEVELS

CROPS, CROP_FRAMES = 1600, 96
ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    encoder, quantiser = learn(LevelPool(arguments.work).crops(CROPS, CROP_FRAMES, generator), generator)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state |= {f"quantiser.{name}": tensor for name, tensor in quantiser.state_dict().items()}
    write_trained_state(state, arguments.work / "tokenizer.pt")


@torch.no_grad()
def learn(levels: Tensor, generator: torch.Generator) -> tuple[ToneEncoder, ResidualQuantiser]:
    """Levels [B, num_levels, 4 T] → an encoder that knows their mean, and codebooks of their principal components."""
    encoder = ToneEncoder(ENCODER)
    quantiser = ResidualQuantiser(LEVELS.dim, LEVELS.codebook_size, LEVELS.codebook_dim, LEVELS.num_quantizers)
    encoder.mean.copy_(encoder.with_mean(levels).mean((0, 1)))
    features = encoder.features(levels).flatten(0, 1)
    components = torch.linalg.svd(features[::4], full_matrices=False).Vh[: LEVELS.codebook_dim]
    for layer, weight in ((quantiser.project_in, components), (quantiser.project_out, components.T)):
        layer.weight.copy_(weight)
        layer.bias.zero_()
    left = features @ components.T
    whole = left.square().sum()
    for number, codebook in enumerate(quantiser.codebooks(), start=1):
        codebook.embed[0] = k_means(left, LEVELS.codebook_size, generator)
        left = left - codebook.embed[0][codebook.nearest(left)]
        print(f"{number} codebooks explain {1 - (left.square().sum() / whole).item():.1%}", flush=True)
    return encoder, quantiser


def k_means(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Points [N, D] → their `count` means [count, D]; one without points begins again at a random one."""
    means = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(ROUNDS):
        nearest = torch.cdist(points, means).argmin(1)
        sums = torch.zeros_like(means).index_add_(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count)[:, None]
        elsewhere = points[torch.randint(len(points), (count,), generator=generator)]
        means = torch.where(sizes > 0, sums / sizes.clamp_min(1), elsewhere)
    return means


if __name__ == "__main__":
    main()
