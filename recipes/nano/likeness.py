"""How closely what comes back from the codec follows a piece over time: band by band, and note by note."""

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from heartmula_studio.codec.quality import FLOOR
from recipes.nano.audio import SAMPLE_RATE_HZ

BANDS = 160
NOTES_FFT = 8192
NOTES_HZ = (60.0, 1200.0)


def band_likeness(heard: Tensor, original: Tensor) -> float:
    """Correlation of the log-mel spectrograms of two waveforms [2, T], each band less its mean."""
    return correlation(band_loudness(heard), band_loudness(original))


def note_likeness(heard: Tensor, original: Tensor) -> float:
    """The same for the loudness of the twelve notes, whatever their octave, from 60 to 1200 Hz."""
    return correlation(note_loudness(heard), note_loudness(original))


def band_loudness(waveform: Tensor) -> Tensor:
    """[2, T] → [bands, frames]"""
    mel = MelSpectrogram(SAMPLE_RATE_HZ, 4096, hop_length=480, n_mels=BANDS, power=1.0)
    return (mel(waveform.mean(0)) + FLOOR).log()


def note_loudness(waveform: Tensor) -> Tensor:
    """[2, T] → [12, frames]"""
    window = torch.hann_window(NOTES_FFT)
    magnitudes = torch.stft(waveform.mean(0), NOTES_FFT, NOTES_FFT // 4, window=window, return_complex=True).abs()
    hertz = torch.arange(len(magnitudes)) * SAMPLE_RATE_HZ / NOTES_FFT
    low = (hertz > NOTES_HZ[0]) & (hertz < NOTES_HZ[1])
    notes = (12 * (hertz[low] / 440).log2()).round().long() % 12
    return torch.zeros(12, magnitudes.shape[1]).index_add_(0, notes, magnitudes[low])


def correlation(a: Tensor, b: Tensor) -> float:
    """Of two tables [rows, frames], each row less its mean; all rows count together."""
    return correlations(a, b).item()


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """The same of tables [..., rows, frames], which gradients go through: [...]."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum((-2, -1)) / (a.norm(dim=(-2, -1)) * b.norm(dim=(-2, -1))).clamp_min(1e-9)
