"""Find the codewords: those that are nearest to the levels of music, codebook by codebook.

    python -m recipes.nano.train_quantiser --work DIR

Writes DIR/tokenizer.pt. Nothing in it is trained by gradients: codebooks that were learnt along with what makes levels
of them told less of the notes (see `recipes/nano/README.md`).
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.tone_encoder import ToneEncoder
from recipes.nano.base_folder import write_trained_state
from recipes.nano.level_pool import LevelPool
from recipes.nano.sizes import ENCODER, LEVELS, num_components, registers

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
    """Levels [B, num_levels, 4 T] → an encoder that knows their mean, and a codebook for each of `registers`.

    A codebook's words are nothing outside its own part of `codebook_dim`, so that what one says does not change what
    the others have to say: music that comes back is the same codes again in every part in which it is the same.
    """
    encoder = ToneEncoder(ENCODER)
    quantiser = ResidualQuantiser(LEVELS.dim, LEVELS.codebook_size, LEVELS.codebook_dim, LEVELS.num_quantizers)
    encoder.mean.copy_(encoder.with_mean(levels).mean((0, 1)))
    features = encoder.features(levels).flatten(0, 1)
    for layer in (quantiser.project_in, quantiser.project_out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    first = 0
    for number, (register, codebook) in enumerate(zip(registers(), quantiser.codebooks(), strict=True)):
        heard = features[:, register]
        loudness = heard.square().sum(1).mean().sqrt()
        components = torch.linalg.svd(heard[::4], full_matrices=False).Vh[: num_components(register)]
        first, part = first + len(components), slice(first, first + len(components))
        quantiser.project_in.weight[part, register] = components / loudness
        quantiser.project_out.weight[register, part] = components.T * loudness
        points = heard @ components.T / loudness
        codebook.embed[0, :, part] = words = k_means(points, LEVELS.codebook_size, generator)
        left = heard - words[torch.cdist(points, words).argmin(1)] @ components * loudness
        print(f"codebook {number} explains {1 - (left.square().sum() / heard.square().sum()).item():.1%}", flush=True)
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
