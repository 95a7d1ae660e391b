"""Go on training the network that tells levels from codes, by what its levels sound like.

    torchrun --nproc-per-node 2 -m recipes.nano.tune_levels --work DIR

Writes DIR/tuned_level_network.pt: the moving average of the weights along the way, which is better than the last of
them. It runs on a GPU where there is one, as a single process.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from heartmula_studio.arch.codec_network import CHANNELS
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.codec.quality import log_mel_difference
from recipes.nano.audio import SAMPLE_RATE_HZ
from recipes.nano.base_folder import LEVEL_NETWORK, TUNED_LEVEL_NETWORK, load_tokenizer, write_trained_state
from recipes.nano.level_pool import LevelPool, heard_records, training_records
from recipes.nano.likeness import correlations
from recipes.nano.sound_figures import chroma, onsets
from recipes.nano.train_levels import losses, told_by_codes
from recipes.nano.training import join_processes, run_training, training_device

CROPS_PER_STEP, CROP_FRAMES = 6, 112
LOG_MEL_CROPS = 2  # of each step: spectra of four resolutions take longest
LEARNING_RATE = 1e-3
LOUDER = 1.06  # songs are softer than what comes back of music
AVERAGE_DECAY = 0.9975  # of what the average holds, in a step
WEIGHTS = {"chroma": 8.0, "onsets": 0.5, "log_mel": 2.0}


def losses_by_ear(codec: ToneCodec, told: Tensor, levels: Tensor, sounds: Tensor) -> dict[str, Tensor]:
    """Of levels as in `train_levels`; of chords, onsets and bands in what is heard of them, beside [B, 2, samples]."""
    network = codec.level_network
    heard = codec.bank(network(told)[:, None].expand(-1, CHANNELS, -1, -1))
    one, other = heard.mean(1), sounds.mean(1)
    of_levels = losses(network, told, levels)
    by_ear = {
        "chroma": 1 - correlations(chroma(one), chroma(other)).mean(),
        "onsets": 1 - correlations(onsets(one)[:, None], onsets(other)[:, None]).mean(),
        "log_mel": log_mel_difference(heard[:LOG_MEL_CROPS], sounds[:LOG_MEL_CROPS], SAMPLE_RATE_HZ),
    }
    loss = of_levels["loss"] + sum(WEIGHTS[name] * value for name, value in by_ear.items())
    return of_levels | by_ear | {"loss": loss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    arguments = parser.parse_args()
    rank, device = join_processes(), training_device()
    pool = LevelPool(arguments.work, heard_records(training_records(arguments.work)))
    encoder, codec = load_tokenizer(arguments.work, [LEVEL_NETWORK])
    network = codec.level_network
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY))
    network.requires_grad_(True).train()
    for module in (encoder, codec, average):
        module.to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        average.update_parameters(network)
        generator = torch.Generator().manual_seed(2 * step + rank + 1)
        levels, sounds = (x.to(device) for x in pool.crops_with_sound(CROPS_PER_STEP, CROP_FRAMES, generator))
        return losses_by_ear(codec, told_by_codes(encoder, codec, levels), levels, sounds)

    both = nn.ModuleDict({"network": network, "average": average})
    run_training(both, loss_of, arguments.steps, LEARNING_RATE, arguments.work / "levels_by_ear.pt")
    if rank == 0:
        average.module.gain.mul_(LOUDER)
        write_trained_state(average.module.state_dict(), arguments.work / TUNED_LEVEL_NETWORK)


if __name__ == "__main__":
    main()
