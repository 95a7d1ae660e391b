"""Train nano's tokenizer: encoder and residual quantiser together with the flow-matching decoder they serve.

    torchrun --nproc-per-node 2 -m recipes.nano.train_tokenizer --work DIR --steps 1300

The first run caches the SQ latents of the training audio (SQ codec frozen) in DIR/latents/.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from heartmula_studio.arch.encoder import MelEncoder
from heartmula_studio.arch.fingerprint import file_sha256
from heartmula_studio.arch.flow_matching import LATENTS_PER_FRAME, SIGMA_MIN, FlowMatching, renoise
from heartmula_studio.arch.heartcodec import HeartCodec
from heartmula_studio.atomic import replaced_file
from recipes.nano.audio_pool import INT16_SCALE, AudioPool
from recipes.nano.sizes import CODEC, ENCODER, FEATURE_DIM, FLOW
from recipes.nano.training import join_processes, run_training

FRAMES_PER_STEP = 400
RARE_CODE_USES = 0.4  # a step; codes that are used less are given new places
CROP_FRAMES = (64, 128, 372)
MEL_PER_FRAME = 4
CACHE_CHUNK_SAMPLES = 24_000 * 60
CONDITION_DROPOUT = 0.1
CONTEXT_SHARE = 0.5
COMMITMENT_WEIGHT = 0.25
PREVIEW_WEIGHT = 1.0


class Tokenizer(nn.Module):
    """Encoder, quantiser and flow matching, plus a preview head that only training needs.

    The preview predicts latents and mel straight from the quantised features; it teaches the codes what
    the sound is long before the flow can.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MelEncoder(ENCODER)
        self.flow_matching = FlowMatching(FLOW)
        for level in self.flow_matching.vq_embed.layers:
            level._codebook.threshold_ema_dead_code = RARE_CODE_USES
        # Fixed and orthogonal, so that commitment cannot shrink what the codebooks see.
        project_in = self.flow_matching.vq_embed.project_in.requires_grad_(False)
        nn.init.orthogonal_(project_in.weight)
        nn.init.zeros_(project_in.bias)
        width = LATENTS_PER_FRAME * FLOW.out_channels + MEL_PER_FRAME * 2 * ENCODER["n_mels"]
        self.preview = nn.Sequential(nn.Linear(FEATURE_DIM, 512), nn.GELU(), nn.Linear(512, width))

    def losses(self, waveform: Tensor, latents: Tensor) -> dict[str, Tensor]:
        """waveform: [B, 2, T], latents: [B, 25 Hz steps, C]."""
        mel = self.encoder.log_mel(waveform)
        quantised, codes, commitment = self.flow_matching.vq_embed(self.encoder.features(mel))
        preview_loss = self._preview_loss(quantised, mel, latents)
        flow_loss = self._flow_loss(quantised, latents)
        loss = flow_loss + PREVIEW_WEIGHT * preview_loss + COMMITMENT_WEIGHT * commitment.sum()
        used = torch.stack([codes[..., k].unique().numel() / torch.tensor(codes[..., k].numel()) for k in (0, 7)])
        return {
            "loss": loss,
            "flow": flow_loss,
            "preview": preview_loss,
            "commitment": commitment.sum(),
            "distinct_first": used[0],
            "distinct_last": used[1],
        }

    def _preview_loss(self, quantised: Tensor, mel: Tensor, latents: Tensor) -> Tensor:
        latent_part, mel_part = self.preview(quantised).split(
            (LATENTS_PER_FRAME * FLOW.out_channels, MEL_PER_FRAME * 2 * ENCODER["n_mels"]), dim=-1
        )
        wanted_latents = latents.unflatten(1, (-1, LATENTS_PER_FRAME)).flatten(2)
        wanted_mel = mel.transpose(1, 2).unflatten(1, (-1, MEL_PER_FRAME)).flatten(2)
        # Low bands tell pitch, so they count for more.
        weight = torch.linspace(1.5, 0.5, ENCODER["n_mels"]).repeat(MEL_PER_FRAME * 2)
        return ((mel_part - wanted_mel).abs() * weight).mean() + F.mse_loss(latent_part, wanted_latents)

    def _flow_loss(self, quantised: Tensor, latents: Tensor) -> Tensor:
        """Mean squared velocity error; sometimes the start is given as context, sometimes the condition is dropped."""
        batch, length, _ = latents.shape
        condition = self.flow_matching.condition(quantised)
        condition = condition * (torch.rand(batch, 1, 1) >= CONDITION_DROPOUT)
        t, noise = torch.rand(batch), torch.randn_like(latents)
        context = (torch.rand(batch) * length / 2 * (torch.rand(batch) < CONTEXT_SHARE)).long()
        is_known = (torch.arange(length) < context[:, None])[..., None]
        x = renoise(latents, noise, t[:, None, None])
        velocity = self.flow_matching.estimator(torch.cat((x, latents * is_known, condition), dim=-1), t)
        error = (velocity - (latents - (1 - SIGMA_MIN) * noise)).square().mean(dim=-1, keepdim=True)
        return (error * ~is_known).sum() / (~is_known).sum()


class LatentPool:
    """Audio and its cached SQ latents; crops start on 80 ms frames so that both stay aligned."""

    def __init__(self, work: Path, codec: HeartCodec, hours: float):
        self.audio = AudioPool(work).pieces
        self.samples_per_frame = codec.config.samples_per_frame
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
            samples = slice(start * self.samples_per_frame, (start + frames) * self.samples_per_frame)
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
        whole = len(samples) // codec.config.samples_per_frame * codec.config.samples_per_frame
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
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--hours", type=float, default=100.0, help="train on at most this much audio")
    arguments = parser.parse_args()
    rank = join_processes()
    pool = LatentPool(arguments.work, load_scalar_codec(arguments.work), arguments.hours)
    torch.manual_seed(0)
    tokenizer = Tokenizer().train()

    def loss_of(step: int) -> dict[str, Tensor]:
        frames = int(np.random.default_rng(step).choice(CROP_FRAMES))
        rng = np.random.default_rng((step, rank))
        torch.manual_seed(2 * step + rank)
        return tokenizer.losses(*pool.crops(FRAMES_PER_STEP // frames, frames, rng))

    run_training(tokenizer, loss_of, arguments.steps, 1.2e-3, arguments.work / "tokenizer.pt")


if __name__ == "__main__":
    main()
