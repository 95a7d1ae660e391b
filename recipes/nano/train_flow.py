"""Train nano's flow matching: codes → latents of the SQ codec. Encoder and quantiser are those of `train_tokenizer`.

    torchrun --nproc-per-node 2 -m recipes.nano.train_flow --work DIR

It learns from DIR/pairs/, which `prepare_flow` writes; on a GPU where there is one, as a single process.
"""

import argparse
import math
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from heartmula_studio.arch.flow_matching import SIGMA_MIN, FlowMatching, renoise
from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from recipes.nano.base_folder import load_tokenizer
from recipes.nano.flow_pairs import PairPool
from recipes.nano.flow_start import LAST_TIME, start_as_gaussian
from recipes.nano.latent_gaussian import LatentGaussian, best_velocity, negative_log_likelihood
from recipes.nano.sizes import FLOW
from recipes.nano.training import join_processes, run_training, training_device

CROP_FRAMES = FLOW.window_frames
CONDITION_DROPOUT = 0.1
CONTEXT_SHARE = 0.5
MEASURED_FRAMES = 16_000


Batch = tuple[Tensor, Tensor]  # quantised features [B, T, dim] and latents [B, 2T, C]


def flow_loss(flow: FlowMatching, quantised: Tensor, latents: Tensor, teacher: LatentGaussian, trust: float) -> Tensor:
    """Mean squared velocity error; sometimes the start is given as context, sometimes the condition is dropped.

    The velocity to learn is by `trust` the teacher's, which has no noise in it, and by the rest that of the latents.

    quantised: [B, T, dim], latents: [B, 2T, C].
    """
    (batch, length, _), device = latents.shape, latents.device
    is_told = torch.rand(batch, 1, 1, device=device) >= CONDITION_DROPOUT
    t, noise = LAST_TIME * torch.rand(batch, device=device), torch.randn_like(latents)
    has_context = torch.rand(batch, device=device) < CONTEXT_SHARE
    context = (torch.rand(batch, device=device) * length / 2 * has_context).long()
    is_known = (torch.arange(length, device=device) < context[:, None])[..., None]
    x = renoise(latents, noise, t[:, None, None])
    target = latents - (1 - SIGMA_MIN) * noise
    target = target + trust * is_told * (taught_velocity(teacher, quantised, x, t) - target)
    velocity = flow.estimator(torch.cat((x, latents * is_known, flow.condition(quantised) * is_told), dim=-1), t)
    error = (velocity - target).square().mean(dim=-1, keepdim=True)
    return (error * ~is_known).sum() / (~is_known).sum()


@torch.no_grad()
def taught_velocity(teacher: LatentGaussian, quantised: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """[B, 2T, C]"""
    return best_velocity(x, t[:, None, None], *teacher(quantised))


@torch.no_grad()
def told_by_codes(batches: Iterable[Batch], teacher: LatentGaussian) -> tuple[Tensor, Tensor]:
    """What `start_as_gaussian` takes: features of some frames, and how far the teacher lets their latents vary."""
    features = [quantised.flatten(0, 1) for quantised, _ in batches]
    log_std = [teacher(part[None])[1].log().unflatten(1, (-1, LATENTS_PER_FRAME)).mean(2)[0] for part in features]
    return torch.cat(features).cpu(), torch.cat(log_std).cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--teacher-steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=400, help="frames that each process takes in a step")
    parser.add_argument("--learning-rate", type=float, default=1.5e-4)
    arguments = parser.parse_args()
    rank, device = join_processes(), training_device()
    pool = PairPool(arguments.work / "pairs", max(CROP_FRAMES), device)
    torch.manual_seed(0)
    flow = load_tokenizer(arguments.work)[1]
    quantiser = deepcopy(flow.vq_embed).to(device)
    teacher = LatentGaussian(flow.config.dim, flow.config.out_channels).to(device)

    def batch_of(step: int) -> Batch:
        """Quantised features and latents of some crops."""
        frames = int(np.random.default_rng(step).choice(CROP_FRAMES))
        torch.manual_seed(2 * step + rank)
        codes, latents = pool.crops(max(1, arguments.batch // frames), frames, np.random.default_rng((step, rank)))
        return quantiser.decode(codes), latents

    def teacher_loss(step: int) -> dict[str, Tensor]:
        quantised, latents = batch_of(step)
        return {"loss": negative_log_likelihood(latents, *teacher(quantised))}

    def loss(step: int) -> dict[str, Tensor]:
        return {"loss": flow_loss(flow, *batch_of(step), teacher, trust=1 - step / arguments.steps)}

    run_training(teacher, teacher_loss, arguments.teacher_steps, 2e-3, arguments.work / "latent_gaussian.pt")
    measured = map(batch_of, range(math.ceil(MEASURED_FRAMES / arguments.batch)))
    start_as_gaussian(flow, *told_by_codes(measured, teacher))
    run_training(flow.to(device), loss, arguments.steps, arguments.learning_rate, arguments.work / "flow.pt")


if __name__ == "__main__":
    main()
