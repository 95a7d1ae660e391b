"""Spectral losses of the codec recipe."""

import torch
import torchaudio
from torch import Tensor, nn

from heartmula_studio.codec.quality import FLOOR, RESOLUTIONS


class SpectralLoss(nn.Module):
    """Mean absolute log-mel difference over four resolutions, plus the relative magnitude error of each."""

    def __init__(self, sample_rate: int):
        super().__init__()
        self.mels = nn.ModuleList(
            torchaudio.transforms.MelScale(n_mels, sample_rate, n_stft=n_fft // 2 + 1) for n_fft, n_mels in RESOLUTIONS
        )

    def forward(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms [B, T] → log-mel distance and spectral convergence, scalars."""
        log_mel, convergence = [], []
        for (n_fft, _), mel in zip(RESOLUTIONS, self.mels, strict=True):
            spectrum, wanted = magnitude(output, n_fft), magnitude(target, n_fft)
            log_mel.append(((mel(spectrum) + FLOOR).log() - (mel(wanted) + FLOOR).log()).abs().mean())
            convergence.append((spectrum - wanted).norm() / (wanted.norm() + FLOOR))
        return torch.stack(log_mel).mean(), torch.stack(convergence).mean()


def magnitude(waveform: Tensor, n_fft: int) -> Tensor:
    """[B, T] → magnitude spectrogram [B, n_fft / 2 + 1, frames]."""
    window = torch.hann_window(n_fft, device=waveform.device)
    spectrum = torch.stft(waveform, n_fft, n_fft // 4, window=window, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
