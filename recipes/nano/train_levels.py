"""Train the network that tells levels from codes.

    torchrun --nproc-per-node 2 -m recipes.nano.train_levels --work DIR

Writes DIR/level_network.pt. It runs on a GPU where there is one, as a single process.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME
from heartmula_studio.arch.tone_codec import LevelNetwork, ToneCodec
from heartmula_studio.arch.tone_encoder import ToneEncoder
from recipes.nano.base_folder import LEVEL_NETWORK, load_tokenizer, write_trained_state
from recipes.nano.level_pool import LevelPool
from recipes.nano.sizes import TONES
from recipes.nano.training import join_processes, run_training, training_device

CROPS_PER_STEP, CROP_FRAMES = 14, 96
MEASURED_CROPS = 400
LEARNING_RATE = 1.5e-3
AMPLITUDE_WEIGHT = 0.5
LOUDEST_LOG = 2.0  # what is told to be louder is wrong, and its amplitude would count for everything
RIDGE = 1e-3
LEAST_GAIN, MOST_GAIN = 0.5, 3.0


@torch.no_grad()
def start_as_told(network: LevelNetwork, told: Tensor, levels: Tensor) -> None:
    """Let each frame tell the levels that its codes tell, and movements within it as well as a linear map can.

    told: [B, T, dim], what codes tell of levels [B, num_levels, 4 T]. The frames around add nothing.
    """
    wanted = logs_of(levels, network).unflatten(-1, (-1, LEVELS_PER_FRAME)).transpose(1, 2)
    moving = (wanted - wanted.mean(-1, keepdim=True)).flatten(2).flatten(0, 1).double()
    known = told[..., network.num_levels :].flatten(0, 1).double()
    ridge = RIDGE * len(known) * torch.eye(known.shape[1]).to(known)
    weights = network.own_frame.weight
    weights[:, : network.num_levels] = torch.eye(network.num_levels).repeat_interleave(LEVELS_PER_FRAME, dim=0)
    weights[:, network.num_levels :] = torch.linalg.solve(known.T @ known + ridge, known.T @ moving).T
    nn.init.constant_(network.own_frame.bias, math.log(network.floor))
    nn.init.zeros_(network.leave.weight)
    nn.init.zeros_(network.leave.bias)


@torch.no_grad()
def told_by_codes(encoder: ToneEncoder, codec: ToneCodec, levels: Tensor) -> Tensor:
    """What the codes of levels [B, num_levels, 4 T] tell of them, [B, T, dim]."""
    return codec.quantiser.decode(codec.quantiser.encode(encoder.features(levels)))


def losses(network: LevelNetwork, told: Tensor, levels: Tensor) -> dict[str, Tensor]:
    """Of logarithms, so that quiet tones count, and of amplitudes, so that loud ones come out loud."""
    logs = network.logs(told)
    log_loss = (logs - logs_of(levels, network)).abs().mean()
    tones = levels[:, : TONES.num_tones]
    amplitudes = logs[:, : TONES.num_tones].clamp_max(LOUDEST_LOG).exp() - network.floor
    errors, powers = (amplitudes - tones).square().mean((1, 2)), tones.square().mean((1, 2))
    amplitude_loss = (errors / powers.clamp_min(1e-6)).mean()
    return {"loss": log_loss + AMPLITUDE_WEIGHT * amplitude_loss, "logs": log_loss, "amplitudes": amplitude_loss}


@torch.no_grad()
def set_gain(network: LevelNetwork, told: Tensor, levels: Tensor) -> None:
    """Let what is told be as loud on average as what was heard."""
    network.gain.fill_(1.0)
    power = network(told).square().mean((0, 2))
    gain = (levels.square().mean((0, 2)) / power.clamp_min(1e-12)).sqrt()
    network.gain.copy_(gain.clamp(LEAST_GAIN, MOST_GAIN))


def logs_of(levels: Tensor, network: LevelNetwork) -> Tensor:
    return (levels + network.floor).log()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1600)
    arguments = parser.parse_args()
    rank, device = join_processes(), training_device()
    pool, (encoder, codec) = LevelPool(arguments.work), load_tokenizer(arguments.work)
    network = codec.level_network.requires_grad_(True).train()

    def batch(count: int, seed: int) -> tuple[Tensor, Tensor]:
        """What codes tell of some levels, and the levels."""
        levels = pool.crops(count, CROP_FRAMES, torch.Generator().manual_seed(seed)).to(device)
        return told_by_codes(encoder, codec, levels), levels

    for module in (encoder, codec):
        module.to(device)
    start_as_told(network, *batch(MEASURED_CROPS, 0))

    def loss_of(step: int) -> dict[str, Tensor]:
        return losses(network, *batch(CROPS_PER_STEP, 2 * step + rank + 1))

    run_training(network, loss_of, arguments.steps, LEARNING_RATE, arguments.work / "levels.pt")
    if rank == 0:
        set_gain(network, *batch(MEASURED_CROPS, 0))
        write_trained_state(network.state_dict(), arguments.work / LEVEL_NETWORK)


if __name__ == "__main__":
    main()
