"""How far apart two waveforms sound."""

import torch
import torchaudio
from torch import Tensor

RESOLUTIONS = ((2048, 96), (1024, 80), (512, 48), (256, 24))
"""(n_fft, number of mel bands); the hop is a quarter of n_fft."""

FLOOR = 1e-3
SHORTEST_SAMPLES = RESOLUTIONS[0][0]


@torch.no_grad()
def log_mel_distance(a: Tensor, b: Tensor, sample_rate_hz: int) -> float:
    """Mean absolute difference of log(mel magnitude + 1e-3), averaged over four resolutions; 0 for equal waveforms.

    a, b: [C, T] at the same rate; the longer one is cut. Both need at least 2048 samples.
    """
    num_samples = min(a.shape[-1], b.shape[-1])
    assert num_samples >= SHORTEST_SAMPLES, num_samples
    return log_mel_difference(a[..., :num_samples].float(), b[..., :num_samples].float(), sample_rate_hz).item()


def log_mel_difference(a: Tensor, b: Tensor, sample_rate_hz: int) -> Tensor:
    """The same of waveforms [..., T] that are as long as each other, which gradients go through: a scalar."""
    assert a.shape == b.shape, (a.shape, b.shape)
    distances = []
    for n_fft, n_mels in RESOLUTIONS:
        to_mel = torchaudio.transforms.MelSpectrogram(
            sample_rate_hz, n_fft, hop_length=n_fft // 4, n_mels=n_mels, power=1.0
        )
        of_a, of_b = (to_mel.to(a.device)(torch.stack((a, b))) + FLOOR).log()
        distances.append((of_a - of_b).abs().mean())
    return torch.stack(distances).mean()
