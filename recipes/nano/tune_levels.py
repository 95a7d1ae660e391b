"""Go on training the network that tells levels from codes, by what its levels sound like.

    torchrun --nproc-per-node 2 -m recipes.nano.tune_levels --work DIR

Writes DIR/tuned_level_network.pt: half way between the weights of DIR/level_network.pt and those it comes to, which has
most of what is gained and loses least (Wortsman et al. 2022). It runs on a GPU where there is one, as a single process.
"""

import argparse
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from heartmula_studio.arch.codec_network import CHANNELS
from heartmula_studio.arch.tone_codec import ToneCodec
from recipes.nano.base_folder import LEVEL_NETWORK, TUNED_LEVEL_NETWORK, load_tokenizer, write_trained_state
from recipes.nano.level_pool import LevelPool, training_records
from recipes.nano.likeness import correlations
from recipes.nano.sound_figures import chroma
from recipes.nano.train_levels import MEASURED_CROPS, losses, set_gain, told_by_codes
from recipes.nano.training import join_processes, run_training, training_device

CROPS_PER_STEP, CROP_FRAMES = 6, 112
LEARNING_RATE = 1e-3
CHROMA_WEIGHT = 4.0
COMPOSED_EVERY = 5  # of the composed pieces: what people bring are recordings


def losses_by_ear(codec: ToneCodec, told: Tensor, levels: Tensor, sounds: Tensor) -> dict[str, Tensor]:
    """Of levels as in `train_levels`, and of how loud the twelve pitch classes are in what is heard of them."""
    network = codec.level_network
    heard = codec.bank(network(told)[:, None].expand(-1, CHANNELS, -1, -1)).mean(1)
    chroma_loss = 1 - correlations(chroma(heard), chroma(sounds)).mean()
    of_levels = losses(network, told, levels)
    return of_levels | {"loss": of_levels["loss"] + CHROMA_WEIGHT * chroma_loss, "chroma": chroma_loss}


def heard_records(records: Sequence[dict]) -> list[dict]:
    """All recordings and renderings, and some of the composed pieces."""
    composed = [record for record in records if record["kind"] == "composed"]
    return [record for record in records if record["kind"] != "composed"] + composed[::COMPOSED_EVERY]


def half_way(before: nn.Module, after: nn.Module) -> dict[str, Tensor]:
    weights = after.state_dict()
    return {name: weight.lerp(weights[name], 0.5) for name, weight in before.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    arguments = parser.parse_args()
    rank, device = join_processes(), training_device()
    pool = LevelPool(arguments.work, heard_records(training_records(arguments.work)))
    encoder, codec = load_tokenizer(arguments.work, [LEVEL_NETWORK])
    network = codec.level_network.requires_grad_(True).train()
    before = deepcopy(network)
    for module in (encoder, codec, before):
        module.to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(2 * step + rank + 1)
        levels, sounds = (x.to(device) for x in pool.crops_with_sound(CROPS_PER_STEP, CROP_FRAMES, generator))
        return losses_by_ear(codec, told_by_codes(encoder, codec, levels), levels, sounds)

    run_training(network, loss_of, arguments.steps, LEARNING_RATE, arguments.work / "levels_by_ear.pt")
    if rank == 0:
        levels = pool.crops(MEASURED_CROPS, CROP_FRAMES, torch.Generator().manual_seed(0)).to(device)
        set_gain(network, told_by_codes(encoder, codec, levels), levels)
        write_trained_state(half_way(before, network), arguments.work / TUNED_LEVEL_NETWORK)


if __name__ == "__main__":
    main()
