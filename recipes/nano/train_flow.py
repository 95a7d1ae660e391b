"""Train nano's flow matching: codes → latents of the SQ codec. Encoder and quantiser are those of `train_tokenizer`.

    torchrun --nproc-per-node 2 -m recipes.nano.train_flow --work DIR

The first run caches the SQ latents of the training audio in DIR/latents/.
"""

import argparse
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from heartmula_studio.arch.fingerprint import file_sha256
from heartmula_studio.arch.flow_matching import SIGMA_MIN, FlowMatching, renoise
from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from heartmula_studio.arch.heartcodec import HeartCodec
from heartmula_studio.arch.mel_encoder import MelEncoder
from heartmula_studio.atomic import replaced_file
from recipes.nano.audio_pool import INT16_SCALE, AudioPool
from recipes.nano.base_folder import load_tokenizer
from recipes.nano.flow_start import LAST_TIME, start_as_gaussian
from recipes.nano.latent_gaussian import LatentGaussian, best_velocity, negative_log_likelihood
from recipes.nano.sizes import CODEC, SAMPLES_PER_FRAME
from recipes.nano.training import join_processes, run_training

FRAMES_PER_STEP = 400
CROP_FRAMES = (64, 128, 372)
CACHE_CHUNK_SAMPLES = 24_000 * 60
CONDITION_DROPOUT = 0.1
CONTEXT_SHARE = 0.5
MEASURED_BATCHES = 40


Batch = tuple[Tensor, Tensor]  # quantised features [B, T, dim] and latents [B, 2T, C]


def flow_loss(flow: FlowMatching, quantised: Tensor, latents: Tensor, teacher: LatentGaussian, trust: float) -> Tensor:
    """Mean squared velocity error; sometimes the start is given as context, sometimes the condition is dropped.

    The velocity to learn is by `trust` the teacher's, which has no noise in it, and by the rest that of the latents.

    quantised: [B, T, dim], latents: [B, 2T, C].
    """
    batch, length, _ = latents.shape
    is_told = torch.rand(batch, 1, 1) >= CONDITION_DROPOUT
    t, noise = LAST_TIME * torch.rand(batch), torch.randn_like(latents)
    context = (torch.rand(batch) * length / 2 * (torch.rand(batch) < CONTEXT_SHARE)).long()
    is_known = (torch.arange(length) < context[:, None])[..., None]
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
def quantised_features(encoder: MelEncoder, flow: FlowMatching, waveform: Tensor) -> Tensor:
    """[B, 2, T] → what the decoder knows of it, [B, frames, dim]."""
    codes = flow.vq_embed(encoder(waveform))[1]
    return flow.vq_embed.get_output_from_indices(codes)


@torch.no_grad()
def told_by_codes(batches: Iterable[Batch], teacher: LatentGaussian) -> tuple[Tensor, Tensor]:
    """What `start_as_gaussian` takes: features of some frames, and how far the teacher lets their latents vary."""
    features = [quantised.flatten(0, 1) for quantised, _ in batches]
    log_std = [teacher(part[None])[1].log().unflatten(1, (-1, LATENTS_PER_FRAME)).mean(2)[0] for part in features]
    return torch.cat(features), torch.cat(log_std)


class LatentPool:
    """Audio and its cached SQ latents; crops start on 80 ms frames so that both stay aligned."""

    def __init__(self, work: Path, codec: HeartCodec, hours: float):
        self.audio = AudioPool(work).pieces
        # Latents belong to the SQ codec that made them.
        folder = work / "latents" / file_sha256(work / "scalar_codec.pt")[:12]
        folder.mkdir(parents=True, exist_ok=True)
        self.latents: dict[str, np.ndarray] = {}
        names = self._choose(hours, codec.config.sample_rate)
        for name in own_share(names):
            cached_latents(folder / f"{name}.npy", self.audio[name], codec)
        if dist.is_initialized():
            dist.barrier()
        for name in names:
            self.latents[name] = cached_latents(folder / f"{name}.npy", self.audio[name], codec)
        self.names = [name for name in self.latents if len(self.latents[name]) > LATENTS_PER_FRAME * max(CROP_FRAMES)]
        self.weights = np.array([len(self.latents[name]) for name in self.names], dtype=np.float64)
        self.weights /= self.weights.sum()

    def _choose(self, hours: float, sample_rate: int) -> list[str]:
        """Pieces of about `hours` in all, drawn by a hash of their names."""
        chosen, samples = [], 0
        for name in sorted(self.audio, key=lambda name: zlib.crc32(name.encode())):
            if samples < hours * 3600 * sample_rate:
                chosen.append(name)
                samples += len(self.audio[name])
        return chosen

    def crops(self, count: int, frames: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Aligned [count, 2, samples] and [count, latents, C]."""
        waveforms, latents = [], []
        for name in rng.choice(self.names, size=count, p=self.weights):
            start = int(rng.integers(0, len(self.latents[name]) // LATENTS_PER_FRAME - frames))
            samples = slice(start * SAMPLES_PER_FRAME, (start + frames) * SAMPLES_PER_FRAME)
            waveforms.append(torch.from_numpy(self.audio[name][samples].astype(np.float32).T / INT16_SCALE))
            part = self.latents[name][LATENTS_PER_FRAME * start : LATENTS_PER_FRAME * (start + frames)]
            latents.append(torch.from_numpy(part.astype(np.float32)))
        return torch.stack(waveforms), torch.stack(latents)


def own_share(names: list[str]) -> list[str]:
    """Every process computes its part of the cache."""
    if not dist.is_initialized():
        return names
    return names[dist.get_rank() :: dist.get_world_size()]


@torch.no_grad()
def cached_latents(path: Path, samples: np.ndarray, codec: HeartCodec) -> np.ndarray:
    """SQ latents of one piece, [25 Hz steps, C] float16, from the cache or computed in chunks."""
    if not path.is_file():
        whole = len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        waveform = torch.from_numpy(samples[:whole].astype(np.float32).T / INT16_SCALE)
        parts = [codec.encode_latents(chunk[None])[0] for chunk in waveform.split(CACHE_CHUNK_SAMPLES, dim=1)]
        with replaced_file(path) as temporary:
            np.save(temporary, torch.cat(parts).half().numpy())
    return np.load(path)


def load_scalar_codec(work: Path) -> HeartCodec:
    """A codec whose SQ part is the trained one; the rest is unused here."""
    codec = HeartCodec(CODEC)
    codec.scalar_model.load_state_dict(torch.load(work / "scalar_codec.pt", weights_only=True)["model"])
    return codec.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--teacher-steps", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=100.0, help="train on at most this much audio")
    arguments = parser.parse_args()
    rank = join_processes()
    pool = LatentPool(arguments.work, load_scalar_codec(arguments.work), arguments.hours)
    torch.manual_seed(0)
    encoder, flow = load_tokenizer(arguments.work)
    teacher = LatentGaussian(flow.config.dim, flow.config.out_channels)

    def batch_of(step: int) -> Batch:
        """Quantised features and latents of some crops."""
        frames = int(np.random.default_rng(step).choice(CROP_FRAMES))
        torch.manual_seed(2 * step + rank)
        waveform, latents = pool.crops(FRAMES_PER_STEP // frames, frames, np.random.default_rng((step, rank)))
        return quantised_features(encoder, flow, waveform), latents

    def teacher_loss(step: int) -> dict[str, Tensor]:
        quantised, latents = batch_of(step)
        return {"loss": negative_log_likelihood(latents, *teacher(quantised))}

    def loss(step: int) -> dict[str, Tensor]:
        return {"loss": flow_loss(flow, *batch_of(step), teacher, trust=1 - step / arguments.steps)}

    run_training(teacher, teacher_loss, arguments.teacher_steps, 2e-3, arguments.work / "latent_gaussian.pt")
    start_as_gaussian(flow, *told_by_codes(map(batch_of, range(MEASURED_BATCHES)), teacher))
    run_training(flow, loss, arguments.steps, 1.5e-4, arguments.work / "flow.pt")


if __name__ == "__main__":
    main()
