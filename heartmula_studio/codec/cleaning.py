"""A recording written anew without the silence at its ends, and at a chosen loudness."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from heartmula_studio.codec.audio_file import AudioSource, AudioWriter
from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.codec.cutting import stretches
from heartmula_studio.codec.loudness import Leveller
from heartmula_studio.codec.sound_check import FRAMES_PER_SEC, SILENCE_DB

LEAD_FRAMES, TAIL_FRAMES = 1, 5  # tenths of a second that are left before the first sound, and behind the last
MIN_CUT_FRAMES = 2
MIN_SEC = 1.0  # as short as a recording may be
MIN_GAIN_DB = 0.05


@dataclass(frozen=True)
class CleanedSound:
    """What was written, and what was cut off at both ends and added to the level."""

    duration_sec: float
    sample_rate_hz: int
    cut_start_sec: float
    cut_end_sec: float
    gain_db: float


def clean_recording(
    path: Path, settings: CleanSettings, target: Path, cancelled: Cancelled | None = None
) -> CleanedSound | None:
    """Write `path` to a FLAC file of its own sampling rate, in stereo of 16 bits; None where there is nothing to clean.

    Raises a subclass of AudioError, StorageError, and CancelledError as soon as `cancelled` says so.
    """
    source = AudioSource.find(path)
    rate_hz = source.find_rate_hz()
    start, end, total = _kept(source, rate_hz, cancelled) if settings.trim_silence else (0, None, None)
    sound = _stretch(_blocks(source, rate_hz, cancelled), start, end)
    leveller = None if settings.loudness_lufs is None else Leveller(settings.loudness_lufs, rate_hz, target.parent)
    samples = 0
    with AudioWriter(target, rate_hz) as writer:
        for block in sound if leveller is None else leveller.level(sound):
            writer.write(block)
            samples += block.shape[1]
    gain_db = leveller.gain_db if leveller else 0.0
    cut_end = 0 if total is None or end is None else total - end
    if not start and not cut_end and abs(gain_db) < MIN_GAIN_DB:
        return None
    return CleanedSound(samples / rate_hz, rate_hz, start / rate_hz, cut_end / rate_hz, gain_db)


def _blocks(source: AudioSource, rate_hz: int, cancelled: Cancelled | None) -> Iterator[Tensor]:
    """Yield pieces [2, n] of a second."""
    for block in source.read_blocks(rate_hz, FRAMES_PER_SEC * (rate_hz // FRAMES_PER_SEC)):
        check_cancelled(cancelled)
        yield block


def _stretch(blocks: Iterator[Tensor], start: int, end: int | None) -> Iterator[Tensor]:
    edges = [start] if end is None else [start, end]
    return next(stretches(blocks, edges))


def _kept(source: AudioSource, rate_hz: int, cancelled: Cancelled | None) -> tuple[int, int, int]:
    """Return the first sample that is kept, the one behind the last, and how many there are."""
    frame, total, peaks = rate_hz // FRAMES_PER_SEC, 0, [np.zeros(0)]
    for block in _blocks(source, rate_hz, cancelled):
        total += block.shape[1]
        whole = pad(block, (0, -block.shape[1] % frame)).abs().amax(dim=0)
        peaks.append(whole.reshape(-1, frame).amax(dim=1).numpy())
    start, end = kept_frames(np.concatenate(peaks))
    start, end = start * frame, min(end * frame, total)
    return (start, end, total) if end - start >= MIN_SEC * rate_hz else (0, total, total)


def kept_frames(peaks: np.ndarray) -> tuple[int, int]:
    """Return the first tenth of a second that is kept, and the one behind the last, from the peak of each."""
    heard = np.flatnonzero(peaks > 10 ** (SILENCE_DB / 20))
    if not heard.size:
        return 0, len(peaks)
    start, end = max(0, int(heard[0]) - LEAD_FRAMES), min(len(peaks), int(heard[-1]) + 1 + TAIL_FRAMES)
    return (
        start if start >= MIN_CUT_FRAMES else 0,
        end if len(peaks) - end >= MIN_CUT_FRAMES else len(peaks),
    )
