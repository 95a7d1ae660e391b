"""What a recording sounds like in figures: loudness, silence at its ends, faults of an export, and a fingerprint.

A recording is decoded once, in pieces of a second; memory grows by 16 numbers for each twentieth of a second.
"""

import math
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from torch import Tensor

from heartmula_studio.codec.audio_file import AudioSource, as_stereo, empty
from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.codec.loudness import LoudnessMeter
from heartmula_studio.codec.resample import regroup

FRAMES_PER_SEC = 10
SILENCE_DB = -60.0  # relative to full scale
CLIPPED_LEVEL, CLIPPED_RUN, CLIPPED_RUNS = 0.999, 3, 10
_MONO_LU = 10 * math.log10(2)  # by which one channel alone is softer than the two that it is played on
_BANDS_HZ = np.geomspace(100, 4000, 17)
_PRINTS_PER_FRAME, _PRINTS_POOLED = 2, 4
_PRINT_FLOOR, _PRINT_RANGE = 1e-6, 12.0  # energy, and how far below the loudest a log energy still counts
_MIN_OVERLAP = 0.7  # of the shorter recording


@dataclass(frozen=True)
class Sound:
    """`loudness_lufs` is integrated, None where all is below the gate; `correlation` is that of left and right, ±1.

    `fingerprint` is [frames, 16]: the log energy of 0.2 s in bands from 100 to 4000 Hz, twenty times a second.
    """

    duration_sec: float
    channels: int
    loudness_lufs: float | None
    peak: float
    silence_before_sec: float
    silence_after_sec: float
    correlation: float
    dc_offset: float
    is_clipped: bool
    fingerprint: np.ndarray


def measure_sound(path: Path, cancelled: Cancelled | None = None) -> Sound:
    """Measure a whole recording. Raises a subclass of AudioError, and CancelledError as soon as `cancelled` says so."""
    source = AudioSource.find(path)
    blocks = source.decode()
    first = next(blocks, None)
    if first is None:
        raise empty(path)
    meter = _SoundMeter(first.sample_rate_hz, len(first.speakers))
    stereo = (as_stereo(block) for block in chain((first,), blocks))
    for piece in regroup(stereo, meter.frame_samples * FRAMES_PER_SEC):
        check_cancelled(cancelled)
        meter.add(piece)
    return meter.finish()


class _SoundMeter:
    def __init__(self, rate_hz: int, channels: int):
        self._rate_hz, self._channels = rate_hz, channels
        self.frame_samples = rate_hz // FRAMES_PER_SEC
        self._loudness = LoudnessMeter(rate_hz)
        self._samples, self._clipped_runs, self._peak = 0, 0, 0.0
        self._sums = np.zeros(5)  # of left, right, left², right², left · right
        self._peaks: list[np.ndarray] = []
        self._energies: list[np.ndarray] = []

    def add(self, piece: Tensor) -> None:
        """piece: [2, n], whole frames but for the last one."""
        left, right = piece.double().numpy()
        self._samples += piece.shape[1]
        self._sums += (left.sum(), right.sum(), left @ left, right @ right, left @ right)
        self._peak = max(self._peak, piece.abs().max().item())
        self._clipped_runs += _count_clipped_runs(piece.numpy())
        self._loudness.add(piece)
        whole = piece.shape[1] - piece.shape[1] % self.frame_samples
        if whole == 0:
            return
        frames = self._frames(piece[:, :whole])
        self._peaks.append(frames.abs().amax(dim=(0, 2)).numpy())
        self._energies.append(self._band_energies(frames.mean(dim=0).numpy()))

    def finish(self) -> Sound:
        peaks = np.concatenate([[], *self._peaks])
        heard = np.flatnonzero(peaks > 10 ** (SILENCE_DB / 20))
        first, last = (heard[0], heard[-1]) if heard.size else (len(peaks), len(peaks) - 1)
        means = self._sums / max(self._samples, 1)
        variances = means[2:4] - means[:2] ** 2
        lufs = self._loudness.finish().lufs
        spread = math.sqrt(max(variances[0] * variances[1], 0.0))
        return Sound(
            duration_sec=self._samples / self._rate_hz,
            channels=self._channels,
            loudness_lufs=None if lufs is None else lufs - (_MONO_LU if self._channels == 1 else 0.0),
            peak=self._peak,
            silence_before_sec=float(first) / FRAMES_PER_SEC,
            silence_after_sec=float(len(peaks) - 1 - last) / FRAMES_PER_SEC,
            correlation=float(means[4] - means[0] * means[1]) / spread if spread > 1e-12 else 0.0,
            dc_offset=float(np.abs(means[:2]).max()),
            is_clipped=self._clipped_runs >= CLIPPED_RUNS,
            fingerprint=self._fingerprint(),
        )

    def _frames(self, samples: Tensor) -> Tensor:
        return samples.reshape(2, -1, self.frame_samples)

    def _band_energies(self, frames: np.ndarray) -> np.ndarray:
        length = self.frame_samples // _PRINTS_PER_FRAME
        frames = frames[:, : length * _PRINTS_PER_FRAME].reshape(-1, length)
        spectrum = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / length
        bins = np.searchsorted(np.fft.rfftfreq(length, 1 / self._rate_hz), _BANDS_HZ).clip(max=spectrum.shape[1])
        cumulated = np.concatenate([np.zeros((len(frames), 1)), spectrum.cumsum(axis=1)], axis=1)
        return np.diff(cumulated[:, bins], axis=1).astype(np.float32)

    def _fingerprint(self) -> np.ndarray:
        """Overlapping windows, as two files of one recording seldom begin at the same sample."""
        energies = np.concatenate([np.zeros((0, len(_BANDS_HZ) - 1)), *self._energies])
        if len(energies) < _PRINTS_POOLED:
            return energies[:0].astype(np.float16)
        pooled = np.lib.stride_tricks.sliding_window_view(energies, _PRINTS_POOLED, axis=0).mean(axis=2)
        return np.log(pooled + _PRINT_FLOOR).astype(np.float16)


def _count_clipped_runs(samples: np.ndarray) -> int:
    """How often several samples in a row lie at full scale."""
    at_full_scale = np.pad(np.abs(samples) >= CLIPPED_LEVEL, ((0, 0), (1, CLIPPED_RUN)))
    rows = np.lib.stride_tricks.sliding_window_view(at_full_scale, CLIPPED_RUN, axis=1)
    in_a_row = np.asarray(rows.all(axis=2))
    return int(np.count_nonzero(in_a_row[:, 1:] & ~in_a_row[:, :-1]))


def likeness(one: np.ndarray, other: np.ndarray, max_shift_sec: float = 3.0) -> float:
    """How alike two fingerprints are, 1 at most: their correlation at the best shift of one against the other."""
    if not len(one) or not len(other):
        return 0.0
    one, other = (prints.astype(np.float32).clip(min=prints.max() - _PRINT_RANGE) for prints in (one, other))
    most, best = round(max_shift_sec * FRAMES_PER_SEC * _PRINTS_PER_FRAME), 0.0
    for shift in range(-most, most + 1):
        a, b = one[max(shift, 0) :], other[max(-shift, 0) :]
        length = min(len(a), len(b))
        if length >= _MIN_OVERLAP * min(len(one), len(other)):
            best = max(best, _correlation(a[:length], b[:length]))
    return best


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(np.vdot(a, b) / max(math.sqrt(np.vdot(a, a) * np.vdot(b, b)), 1e-9))
