"""Train nano's flow matching: codes → latents of the SQ codec. Encoder and quantiser are those of `train_tokenizer`.

    torchrun --nproc-per-node 2 -m recipes.nano.train_flow --work DIR

The first run caches the SQ latents of the training audio in DIR/latents/.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from heartmula_studio.arch.encoder import MelEncoder
from heartmula_studio.arch.fingerprint import file_sha256
from heartmula_studio.arch.flow_matching import SIGMA_MIN, FlowMatching, renoise
from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from heartmula_studio.arch.heartcodec import HeartCodec
from heartmula_studio.atomic import replaced_file
from recipes.nano.audio_pool import INT16_SCALE, AudioPool
from recipes.nano.base_folder import load_tokenizer
from recipes.nano.sizes import CODEC, SAMPLES_PER_FRAME
from recipes.nano.training import join_processes, run_training

FRAMES_PER_STEP = 400
CROP_FRAMES = (64, 128, 372)
CACHE_CHUNK_SAMPLES = 24_000 * 60
CONDITION_DROPOUT = 0.1
CONTEXT_SHARE = 0.5
QUIET = 0.1


def flow_loss(flow: FlowMatching, quantised: Tensor, latents: Tensor) -> Tensor:
    """Mean squared velocity error; sometimes the start is given as context, sometimes the condition is dropped.

    quantised: [B, T, dim], latents: [B, 2T, C].
    """
    batch, length, _ = latents.shape
    condition = flow.condition(quantised) * (torch.rand(batch, 1, 1) >= CONDITION_DROPOUT)
    t, noise = torch.rand(batch), torch.randn_like(latents)
    context = (torch.rand(batch) * length / 2 * (torch.rand(batch) < CONTEXT_SHARE)).long()
    is_known = (torch.arange(length) < context[:, None])[..., None]
    x = renoise(latents, noise, t[:, None, None])
    velocity = flow.estimator(torch.cat((x, latents * is_known, condition), dim=-1), t)
    error = (velocity - (latents - (1 - SIGMA_MIN) * noise)).square().mean(dim=-1, keepdim=True)
    return (error * ~is_known).sum() / (~is_known).sum()


@torch.no_grad()
def quantised_features(encoder: MelEncoder, flow: FlowMatching, waveform: Tensor) -> Tensor:
    """[B, 2, T] → what the decoder knows of it, [B, frames, dim]."""
    codes = flow.vq_embed(encoder(waveform))[1]
    return flow.vq_embed.get_output_from_indices(codes)


@torch.no_grad()
def start_from_inputs(flow: FlowMatching) -> None:
    """Let the last stage begin with the point, the condition and the velocity away from the point before it.

    The network is narrower than its input: copying the one and heeding the other would take it long to find out.
    """
    channels, features = flow.config.out_channels, flow.config.codebook_dim
    nn.init.eye_(flow.cond_feature_emb.weight)
    nn.init.zeros_(flow.cond_feature_emb.bias)
    into, out = flow.estimator.connection_proj, flow.estimator.proj_out
    point, condition = torch.arange(channels), torch.arange(features)
    for layer in (into, out):
        layer.ffn_1.weight.mul_(QUIET)
        layer.ffn_1.bias.zero_()
        nn.init.eye_(layer.ffn_2.weight)
        nn.init.zeros_(layer.ffn_2.bias)
    into.ffn_1.weight[point, point, 1] = 1 / into.scale
    into.ffn_1.weight[channels + condition, 2 * channels + condition, 1] = 1 / into.scale
    out.ffn_1.weight[point, point, 1] = -1 / out.scale


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
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=100.0, help="train on at most this much audio")
    arguments = parser.parse_args()
    rank = join_processes()
    pool = LatentPool(arguments.work, load_scalar_codec(arguments.work), arguments.hours)
    torch.manual_seed(0)
    encoder, flow = load_tokenizer(arguments.work)
    start_from_inputs(flow)

    def loss_of(step: int) -> dict[str, Tensor]:
        frames = int(np.random.default_rng(step).choice(CROP_FRAMES))
        rng = np.random.default_rng((step, rank))
        torch.manual_seed(2 * step + rank)
        waveform, latents = pool.crops(FRAMES_PER_STEP // frames, frames, rng)
        return {"loss": flow_loss(flow, quantised_features(encoder, flow, waveform), latents)}

    run_training(flow, loss_of, arguments.steps, 1.2e-3, arguments.work / "flow.pt")


if __name__ == "__main__":
    main()
