"""Train nano's SQ codec: waveform → rounded latents at 25 Hz → waveform.

    python -m recipes.nano.train_scalar_codec --work DIR --steps 1000

It runs on a GPU where there is one, as a single process.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from heartmula_studio.arch.scalar_codec import ScalarCodec
from recipes.nano.audio_pool import AudioPool
from recipes.nano.lapped_transform import start_as_transform
from recipes.nano.sizes import SCALAR
from recipes.nano.spectral import SpectralLoss
from recipes.nano.training import join_processes, run_training, training_device

CROP_SAMPLES = 38 * 960
WAVEFORM_WEIGHT = 1.0
CONVERGENCE_WEIGHT = 0.5
REFRESH_EVERY = 200
MEASURED_CROPS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=6)
    arguments = parser.parse_args()
    rank, device = join_processes(), training_device()
    torch.manual_seed(0)
    pool = AudioPool(arguments.work)
    codec = ScalarCodec(SCALAR)
    start_as_transform(codec, pool.crops(MEASURED_CROPS, CROP_SAMPLES, np.random.default_rng(0))[:, :1])
    # Trained as well, it fills every latent with phase, of which codes can tell nothing.
    codec.to(device).encoder.requires_grad_(False)
    spectral = SpectralLoss(SCALAR.sample_rate).to(device)

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        if step % REFRESH_EVERY == REFRESH_EVERY - 1:
            pool.refresh()
        rng = np.random.default_rng((step, rank))
        # One random channel of each crop: the codec hears one channel at a time.
        stereo = pool.crops(arguments.batch, CROP_SAMPLES, rng)
        target = stereo[:, rng.integers(0, 2), None].to(device)
        output = codec.decode(codec.encode(target))
        log_mel, convergence = spectral(output[:, 0], target[:, 0])
        waveform = (output - target).norm() / target.norm().clamp_min(1e-3)
        loss = log_mel + CONVERGENCE_WEIGHT * convergence + WAVEFORM_WEIGHT * waveform
        return {"loss": loss, "log_mel": log_mel, "convergence": convergence, "waveform": waveform}

    run_training(codec, loss_of, arguments.steps, 1e-3, arguments.work / "scalar_codec.pt")


if __name__ == "__main__":
    main()
