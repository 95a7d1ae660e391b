"""Tempo and key of a recording, each with a confidence.

Tempo is the period at which onsets repeat: autocorrelation with a preference for moderate tempi, as in Ellis, "Beat
Tracking by Dynamic Programming" (2007). Key is the profile that correlates best with how much each pitch class sounds.
The profiles, how often a class occurs in the Kostka-Payne corpus, are Temperley's, "Music and Probability" (2007).
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor

from heartmula_studio.codec.audio_file import AudioSource
from heartmula_studio.codec.control import Cancelled, check_cancelled

RATE_HZ = 22_050
BLOCK_SAMPLES = 30 * RATE_HZ

ONSET_FFT, ONSET_HOP, MEL_BANDS = 1024, 256, 40
ONSETS_PER_SEC = RATE_HZ / ONSET_HOP
SLOWEST_BPM, FASTEST_BPM = 50.0, 220.0
PREFERRED_BPM, PREFERENCE_OCTAVES = 120.0, 0.9
TEMPO_STEP = 1.001  # from one candidate to the next
PERIODS, FINE_PERIODS = 4, 16
MIN_SEC = 6.0

PITCH_FFT, PITCH_HOP = 8192, 4096
LOWEST_HZ, HIGHEST_HZ, A4_HZ, A4_CLASS = 65.0, 2100.0, 440.0, 9
STEPS = 10  # of a semitone, by which the tuning is found
MIN_PEAK = 0.01  # of the strongest in a frame
MAJOR = (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400)
MINOR = (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330)
MAJOR_NAMES = ("c", "db", "d", "eb", "e", "f", "f#", "g", "ab", "a", "bb", "b")
MINOR_NAMES = ("c", "c#", "d", "eb", "e", "f", "f#", "g", "g#", "a", "bb", "b")
CLEAR_MARGIN = 0.3  # between the correlations of the best profile and the next one that is not its relative's
NOISE_CONTRAST, CLEAR_CONTRAST = 0.15, 0.35  # of the pitch classes: their deviation by their mean


@dataclass(frozen=True)
class TempoAndKey:
    """Beats a minute, and a key as musicians write it ("a minor"), with confidences from 0 to 1.

    None where no onsets repeat, and where nothing has a pitch.
    """

    bpm: float | None
    bpm_confidence: float
    key: str | None
    key_confidence: float


def find_tempo_and_key(path: Path, cancelled: Cancelled | None = None) -> TempoAndKey:
    """Listen to a whole recording, in blocks. Raises a subclass of AudioError, and CancelledError."""
    onsets, pitches = _OnsetMeter(), _PitchMeter()
    for block in AudioSource.find(path).read_blocks(RATE_HZ, BLOCK_SAMPLES):
        check_cancelled(cancelled)
        mono = block.mean(dim=0)
        onsets.add(mono)
        pitches.add(mono)
    return TempoAndKey(*tempo_of(onsets.finish()), *key_of(pitches.histogram))


class _Spectra:
    """Magnitudes [bins, frames] of blocks, whose frames overlap as if they were one."""

    def __init__(self, fft: int, hop: int):
        self._fft, self._hop = fft, hop
        self._window, self._tail = torch.hann_window(fft), torch.zeros(0)

    def of(self, mono: Tensor) -> Tensor:
        samples = torch.cat((self._tail, mono))
        frames = max(0, (len(samples) - self._fft) // self._hop + 1)
        self._tail = samples[frames * self._hop :]
        if frames == 0:
            return torch.zeros(self._fft // 2 + 1, 0)
        return torch.stft(samples, self._fft, self._hop, window=self._window, center=False, return_complex=True).abs()


class _OnsetMeter:
    """How much louder each frame is than the one before, over bands as the ear has them."""

    def __init__(self) -> None:
        self._spectra, self._last = _Spectra(ONSET_FFT, ONSET_HOP), torch.zeros(MEL_BANDS, 0)
        self._bands = torchaudio.functional.melscale_fbanks(ONSET_FFT // 2 + 1, 30.0, RATE_HZ / 2, MEL_BANDS, RATE_HZ).T
        self._found: list[np.ndarray] = []

    def add(self, mono: Tensor) -> None:
        levels = (self._bands @ self._spectra.of(mono).square()).log1p()
        levels = torch.cat((self._last, levels), dim=1)
        self._last = levels[:, -1:]
        self._found.append(levels.diff(dim=1).clamp(min=0).mean(dim=0).numpy())

    def finish(self) -> np.ndarray:
        return np.concatenate([[], *self._found])


class _PitchMeter:
    """`histogram` [12 * STEPS]: how much sounds at each tenth of a semitone, in all octaves together."""

    def __init__(self) -> None:
        self._spectra = _Spectra(PITCH_FFT, PITCH_HOP)
        self._low, self._high = (round(hz * PITCH_FFT / RATE_HZ) for hz in (LOWEST_HZ, HIGHEST_HZ))
        self.histogram = np.zeros(12 * STEPS)

    def add(self, mono: Tensor) -> None:
        magnitudes = self._spectra.of(mono)[self._low - 1 : self._high + 1].numpy()
        if not magnitudes.any():
            return
        left, peaks, right = magnitudes[:-2], magnitudes[1:-1], magnitudes[2:]
        loudest = magnitudes.max(axis=0, keepdims=True)
        bins, frames = np.nonzero((peaks > left) & (peaks >= right) & (peaks > MIN_PEAK * loudest))
        a, b, c = (np.log(part[bins, frames] + 1e-9) for part in (left, peaks, right))
        between = 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-9)  # of a parabola through the three
        hz = (self._low + bins + between) * RATE_HZ / PITCH_FFT
        steps = np.round(STEPS * (12 * np.log2(hz / A4_HZ) + A4_CLASS)).astype(int) % (12 * STEPS)
        weights = np.sqrt(peaks[bins, frames] / loudest[0, frames])
        totals = np.bincount(frames, weights, magnitudes.shape[1])
        self.histogram += np.bincount(steps, weights / totals[frames], 12 * STEPS)


def tempo_of(onsets: np.ndarray) -> tuple[float | None, float]:
    """Beats a minute and a confidence, from onset strengths, ONSETS_PER_SEC a second."""
    if len(onsets) < MIN_SEC * ONSETS_PER_SEC or not onsets.any():
        return None, 0.0
    likeness = _autocorrelation(onsets)
    count = math.ceil(math.log(FASTEST_BPM / SLOWEST_BPM) / math.log(TEMPO_STEP))
    tempi = SLOWEST_BPM * TEMPO_STEP ** np.arange(count)
    strengths = _comb(likeness, tempi, PERIODS)
    preference = np.exp(-0.5 * (np.log2(tempi / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2)
    best = int(np.argmax(strengths * preference))
    near = tempi[max(0, best - 30) : best + 31]
    bpm = float(near[np.argmax(_comb(likeness, near, FINE_PERIODS))])
    confidence = float(np.clip(strengths[best], 0, 1))
    return (bpm, confidence) if confidence > 0 else (None, 0.0)


def _autocorrelation(onsets: np.ndarray) -> np.ndarray:
    """How alike onsets are to themselves, by the lag in frames; 1 at most. Slow swells are taken out before."""
    width = round(ONSETS_PER_SEC)
    swell = np.convolve(np.pad(onsets, width, mode="reflect"), np.ones(2 * width + 1) / (2 * width + 1), "valid")
    clear = np.convolve(onsets - swell, np.hanning(7)[1:-1], "same")
    size = 2 ** math.ceil(math.log2(2 * len(clear)))
    power = np.abs(np.fft.rfft(clear, size)) ** 2
    products = np.fft.irfft(power)[: len(clear)]
    return products / max(products[0], 1e-12) * len(clear) / np.arange(len(clear), 0, -1)


def _comb(likeness: np.ndarray, tempi: np.ndarray, periods: int) -> np.ndarray:
    """The mean likeness after 1, 2, ... periods of each tempo, as many as fit into half of the piece."""
    lags = 60 * ONSETS_PER_SEC / tempi[:, None] * np.arange(1, periods + 1)
    lags = np.where(lags < len(likeness) / 2, lags, lags[:, :1])
    return np.interp(lags, np.arange(len(likeness)), likeness).mean(axis=1)


def key_of(histogram: np.ndarray) -> tuple[str | None, float]:
    """The key and a confidence, from a histogram of pitches as `_PitchMeter` makes it."""
    if histogram.sum() <= 0:
        return None, 0.0
    chroma = _tuned(histogram)
    fits = np.array(
        [[np.corrcoef(np.roll(profile, tonic), chroma)[0, 1] for tonic in range(12)] for profile in (MAJOR, MINOR)]
    )
    minor, tonic = np.unravel_index(np.argmax(fits), fits.shape)
    best = fits[minor, tonic]
    fits[1 - minor, (tonic + (3 if minor else 9)) % 12] = -1  # the relative: of the same notes
    fits[minor, tonic] = -1
    name = f"{MINOR_NAMES[tonic]} minor" if minor else f"{MAJOR_NAMES[tonic]} major"
    contrast = (chroma.std() / chroma.mean() - NOISE_CONTRAST) / (CLEAR_CONTRAST - NOISE_CONTRAST)
    return name, float(np.clip((best - fits.max()) / CLEAR_MARGIN, 0, 1) * np.clip(contrast, 0, 1))


def _tuned(histogram: np.ndarray) -> np.ndarray:
    """Fold to 12 pitch classes, moved by as much as the instruments are tuned higher or lower than A4_HZ."""
    angles = np.exp(2j * np.pi * np.arange(len(histogram)) / STEPS)
    offset = round(float(np.angle((histogram * angles).sum())) / (2 * np.pi) * STEPS)
    return np.roll(histogram, STEPS // 2 - offset).reshape(12, STEPS).sum(axis=1)
