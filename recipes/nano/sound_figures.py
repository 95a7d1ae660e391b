"""Figures of sounds at 24 kHz: beat, tone, level. All but `onsets` and `chroma` take stereo [2, samples]."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.transforms import MelSpectrogram

from recipes.nano.audio import SAMPLE_RATE_HZ
from recipes.nano.likeness import correlation

ONSET_FFT, ONSET_HOP, ONSET_BANDS = 1024, 240, 40
ONSETS_PER_SEC = SAMPLE_RATE_HZ / ONSET_HOP
ONSET_FLOOR = 1e-2
BEAT_SEC = (0.25, 1.5)  # from one onset to the next, at 240 and 40 beats a minute
PITCH_FFT = 8192
LOWEST_PITCH_HZ, HIGHEST_PITCH_HZ = 60.0, 2000.0
TONE_FFT = 4096
OCTAVES_HZ = (250, 500, 1000, 2000)  # where each begins
LEVEL_SEC = 0.4
SILENCE_DB = -80.0


def beat(sound: Tensor) -> float:
    """How regularly onsets come: the highest autocorrelation of their strength at 0.25 to 1.5 s; 1 for a metronome."""
    strengths = onsets(sound.mean(0))
    strengths = strengths - strengths.mean()
    spectrum = torch.fft.rfft(strengths, 2 * len(strengths)).abs().square()
    autocorrelation = torch.fft.irfft(spectrum)[: len(strengths)]
    first, last = (round(seconds * ONSETS_PER_SEC) for seconds in BEAT_SEC)
    return (autocorrelation[first : last + 1].max() / autocorrelation[0].clamp_min(1e-9)).item()


def onsets(sound: Tensor) -> Tensor:
    """How strongly sounds set in, a hundred times a second, in one channel: [..., samples] → [..., frames]."""
    mel = MelSpectrogram(SAMPLE_RATE_HZ, ONSET_FFT, hop_length=ONSET_HOP, n_mels=ONSET_BANDS, power=1.0).to(
        sound.device
    )
    return (mel(sound) + ONSET_FLOOR).log().diff(dim=-1).relu().mean(-2)


def chroma_likeness(heard: Tensor, original: Tensor) -> float:
    """Correlation over time of how loud the twelve pitch classes are, from 60 to 2000 Hz."""
    return correlation(chroma(heard.mean(0)), chroma(original.mean(0)))


def chroma(sound: Tensor) -> Tensor:
    """How loud the twelve pitch classes are in one channel: [..., samples] → [..., 12, frames]."""
    magnitudes = _magnitudes(sound, PITCH_FFT)
    hertz = torch.arange(magnitudes.shape[-2]) * SAMPLE_RATE_HZ / PITCH_FFT
    heard = (hertz > LOWEST_PITCH_HZ) & (hertz < HIGHEST_PITCH_HZ)
    classes = (12 * (hertz[heard] / 440).log2()).round().long() % 12
    is_of_class = F.one_hot(classes, 12).T.to(sound)
    return is_of_class @ magnitudes[..., heard, :]


def octave_flatness(sound: Tensor) -> list[float]:
    """Spectral flatness of each octave from 250 Hz to 4 kHz, the mean over time: 0 for pure tones, .56 for noise."""
    power = _magnitudes(sound.mean(0), TONE_FFT).square() + 1e-12
    hertz = torch.arange(len(power)) * SAMPLE_RATE_HZ / TONE_FFT
    octaves = [power[(hertz >= lowest) & (hertz < 2 * lowest)] for lowest in OCTAVES_HZ]
    return [(octave.log().mean(0).exp() / octave.mean(0)).mean().item() for octave in octaves]


def fade_db(sound: Tensor) -> float:
    """How far the level falls from the loudest tenth of a sound to the last tenth of it, in dB."""
    num_blocks = max(10, int(sound.shape[1] / (LEVEL_SEC * SAMPLE_RATE_HZ)))
    blocks = torch.stack([block.square().mean() for block in sound.tensor_split(num_blocks, dim=1)])
    tenths = torch.stack([tenth.mean() for tenth in blocks.tensor_split(10)])
    levels = (10 * tenths.clamp_min(1e-12).log10()).clamp_min(SILENCE_DB)
    return (levels.max() - levels[-1]).item()


def _magnitudes(sound: Tensor, num_fft: int) -> Tensor:
    window = torch.hann_window(num_fft).to(sound)
    return torch.stft(sound, num_fft, num_fft // 4, window=window, return_complex=True).abs()
