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
from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME
from heartmula_studio.arch.tone_encoder import ToneEncoder
from recipes.nano.base_folder import write_trained_state
from recipes.nano.level_pool import LevelPool, heard_records, training_records
from recipes.nano.sizes import ENCODER, LEVELS, TONES, num_components, registers

CROPS, CROP_FRAMES = 1600, 96
ROUNDS = 20
NOISE_WEIGHT = 0.2  # of how loud a noise is beside a tone
QUIETEST = 0.02  # of the mean power: what is more quiet counts as much


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    pool = LevelPool(arguments.work, heard_records(training_records(arguments.work)))
    encoder, quantiser = learn(pool.crops(CROPS, CROP_FRAMES, generator), generator)
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
    features, weights = encoder.features(levels).flatten(0, 1), feature_weights()
    for layer in (quantiser.project_in, quantiser.project_out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    quantiser.project_out.bias.copy_(encoder.mean)
    first = 0
    for number, (register, codebook) in enumerate(zip(registers(), quantiser.codebooks(), strict=True)):
        heard = features[:, register] * weights[register]
        spread = heard.square().sum(1).mean().sqrt()
        components = torch.linalg.svd(heard[::4], full_matrices=False).Vh[: num_components(register)]
        first, part = first + len(components), slice(first, first + len(components))
        quantiser.project_in.weight[part, register] = components * weights[register] / spread
        quantiser.project_out.weight[register, part] = components.T / weights[register, None] * spread
        points, counts = heard @ components.T / spread, how_much_frames_count(levels, register)
        codebook.embed[0, :, part] = words = k_means(points, counts, LEVELS.codebook_size, generator)
        left = heard - words[torch.cdist(points, words).argmin(1)] @ components * spread
        print(f"codebook {number} explains {1 - (left.square().sum() / heard.square().sum()).item():.1%}", flush=True)
    return encoder, quantiser


def feature_weights() -> Tensor:
    """How much each feature counts, [dim]: a noise, whose floor is lower and which moves more, less than a tone."""
    weights = torch.ones(LEVELS.dim)
    weights[TONES.num_tones : TONES.num_levels] = NOISE_WEIGHT
    return weights


def how_much_frames_count(levels: Tensor, register: slice) -> Tensor:
    """Levels [B, num_levels, 4 T] → [B · T]: the root of how loud a register is, as loud notes are heard as a chord.

    All frames count alike for how levels move.
    """
    heard = levels[:, register] if register.start < TONES.num_levels else torch.ones_like(levels)
    power = heard.unflatten(-1, (-1, LEVELS_PER_FRAME)).square().mean(-1).sum(1).flatten()
    return (power + QUIETEST * power.mean()).sqrt()


def k_means(points: Tensor, counts: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Points [N, D], of which each counts so much [N] → `number` means [number, D]; one without points begins anew."""
    means = points[torch.multinomial(counts, number, generator=generator)]
    for _ in range(ROUNDS):
        nearest = torch.cdist(points, means).argmin(1)
        sums = torch.zeros_like(means).index_add_(0, nearest, points * counts[:, None])
        totals = torch.zeros_like(means[:, 0]).index_add_(0, nearest, counts)[:, None]
        elsewhere = points[torch.multinomial(counts, number, generator=generator)]
        means = torch.where(totals > 0, sums / totals.clamp_min(1e-9), elsewhere)
    return means


if __name__ == "__main__":
    main()
