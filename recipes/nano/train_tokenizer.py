"""Train nano's tokenizer: waveform → features → codes, so that the mel spectrogram can be told from the codes.

    torchrun --nproc-per-node 2 -m recipes.nano.train_tokenizer --work DIR

It runs on a GPU where there is one, as a single process.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from heartmula_studio.arch.mel_encoder import MelEncoder
from recipes.nano.audio_pool import AudioPool
from recipes.nano.sizes import ENCODER, FEATURE_DIM, FLOW, SAMPLES_PER_FRAME
from recipes.nano.training import join_processes, run_training, training_device

FRAMES_PER_STEP = 768
CROP_FRAMES = 64
CROP_SAMPLES = CROP_FRAMES * SAMPLES_PER_FRAME
MEASURED_CROPS = 128
MEL_PER_FRAME = 4
COMMITMENT_WEIGHT = 0.1
RARE_CODE_USES = 0.5  # a step; codes that are used less are given new places


class Tokenizer(nn.Module):
    """Encoder and quantiser, plus a preview head that only training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MelEncoder(ENCODER)
        self.quantiser = trainable_quantiser()
        # Fixed, so that commitment cannot shrink what the codebooks see.
        self.quantiser.project_in.requires_grad_(False)
        self.preview = nn.Linear(FEATURE_DIM, MEL_PER_FRAME * 2 * ENCODER["n_mels"])
        self.register_buffer("weight", torch.linspace(1.5, 0.5, ENCODER["n_mels"]).repeat(MEL_PER_FRAME * 2))

    @torch.no_grad()
    def start_as_pca(self, waveform: Tensor) -> None:
        """Let the first features be the principal components of each frame's mel, seen by the codebooks by their size.

        waveform: [B, 2, T], some thousand frames in all.
        """
        frames = mel_frames(self.encoder.log_mel(waveform)).flatten(0, 1)
        mean, root = frames.mean(0), self.weight.sqrt()
        _, sizes, components = torch.linalg.svd((frames - mean) * root, full_matrices=False)
        sizes, components = sizes[:FEATURE_DIM] / len(frames) ** 0.5, components[:FEATURE_DIM]
        analysis = components * root / sizes[:, None]
        self.encoder.own_frames.weight.copy_(analysis)
        self.encoder.own_frames.bias.copy_(-analysis @ mean)
        self.preview.weight.copy_((components / root).T * sizes)
        self.preview.bias.copy_(mean)
        relative = sizes[: FLOW.codebook_dim] / sizes[0]
        for layer, scales in ((self.quantiser.project_in, relative), (self.quantiser.project_out, 1 / relative)):
            layer.weight.zero_()
            layer.weight.diagonal().copy_(scales)
            layer.bias.zero_()

    def losses(self, waveform: Tensor) -> dict[str, Tensor]:
        """waveform: [B, 2, T]."""
        mel = self.encoder.log_mel(waveform)
        features = self.encoder.features(mel)
        quantised, codes, commitment = self.quantiser(features)
        # Before the quantiser as well: codebooks that are still poor must not teach the features to be poor.
        rich_loss = self.preview_loss(self.quantiser.project_out(self.quantiser.project_in(features)), mel)
        preview_loss = self.preview_loss(quantised, mel)
        return {
            "loss": preview_loss + rich_loss + COMMITMENT_WEIGHT * commitment.sum(),
            "preview": preview_loss,
            "rich_preview": rich_loss,
            "commitment": commitment.sum(),
            "distinct_first": torch.tensor(codes[..., 0].unique().numel()),
            "distinct_last": torch.tensor(codes[..., -1].unique().numel()),
        }

    def preview_loss(self, features: Tensor, mel: Tensor) -> Tensor:
        """Mean absolute error of the mel told from [B, T, dim]; low bands tell pitch, so they count for more."""
        return ((self.preview(features) - mel_frames(mel)).abs() * self.weight).mean()


def trainable_quantiser() -> ResidualVQ:
    """The quantiser of `FlowMatching`, with all that moves its codewords; its tensors have the same names."""
    return ResidualVQ(
        dim=FLOW.dim,
        codebook_size=FLOW.codebook_size,
        codebook_dim=FLOW.codebook_dim,
        num_quantizers=FLOW.num_quantizers,
        decay=FLOW.decay,
        commitment_weight=FLOW.commitment_weight,
        threshold_ema_dead_code=RARE_CODE_USES,
    )


def mel_frames(mel: Tensor) -> Tensor:
    """[B, bands, T at 50 Hz] → all that belongs to one frame of codes, [B, T / 4, 4 · bands]."""
    return mel.transpose(1, 2).unflatten(1, (-1, MEL_PER_FRAME)).flatten(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    rank, device = join_processes(), training_device()
    pool = AudioPool(arguments.work)
    torch.manual_seed(0)
    tokenizer = Tokenizer().train()
    tokenizer.start_as_pca(pool.crops(MEASURED_CROPS, CROP_SAMPLES, np.random.default_rng(0)))
    tokenizer.to(device)

    def loss_of(step: int) -> dict[str, Tensor]:
        torch.manual_seed(2 * step + rank)
        waveform = pool.crops(FRAMES_PER_STEP // CROP_FRAMES, CROP_SAMPLES, np.random.default_rng((step, rank)))
        return tokenizer.losses(waveform.to(device))

    run_training(tokenizer, loss_of, arguments.steps, 5e-4, arguments.work / "tokenizer.pt")


if __name__ == "__main__":
    main()
