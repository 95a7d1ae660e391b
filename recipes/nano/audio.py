"""Waveforms at the rate the codec hears: read, resample, normalise, write."""

import io
from pathlib import Path

import soundfile
import torch
import torchaudio.functional as F
from torch import Tensor

from heartmula_studio.files.atomic import replaced_file

SAMPLE_RATE_HZ = 24_000
LOUDNESS_LUFS = -16.0
PEAK = 0.95
SILENCE = 0.001
FADE_SEC = 0.05


def read_stereo(source: Path | io.BytesIO) -> Tensor:
    """Decode a file into [2, samples] at 24 kHz; mono is copied to both sides."""
    samples, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)
    waveform = torch.from_numpy(samples).T
    if waveform.shape[0] == 1:
        waveform = waveform.expand(2, -1)
    return F.resample(waveform, rate_hz, SAMPLE_RATE_HZ)


def mix(waveforms: list[Tensor]) -> Tensor:
    """Sum waveforms [2, samples] that start together; the shorter ones are followed by silence."""
    total = torch.zeros(2, max(waveform.shape[1] for waveform in waveforms))
    for waveform in waveforms:
        total[:, : waveform.shape[1]] += waveform
    return total


def trim(waveform: Tensor) -> Tensor:
    """Cut what is 60 dB below the peak at both ends of [2, samples], and fade the last 50 ms."""
    level = waveform.abs().amax(0)
    loud = (level > SILENCE * level.max()).nonzero()
    assert len(loud) > 0, "the waveform is silent"
    waveform = waveform[:, int(loud[0]) : int(loud[-1]) + 1].clone()
    fade = torch.linspace(1, 0, min(int(FADE_SEC * SAMPLE_RATE_HZ), waveform.shape[1]))
    waveform[:, -len(fade) :] *= fade
    return waveform


def normalise(waveform: Tensor) -> Tensor:
    """Scale [2, samples] to -16 LUFS (ITU-R BS.1770-4), or as near as a peak of 0.95 allows, so nothing clips."""
    gain = 10 ** ((LOUDNESS_LUFS - F.loudness(waveform, SAMPLE_RATE_HZ).item()) / 20)
    return waveform * min(gain, PEAK / waveform.abs().max().item())


def write_flac(waveform: Tensor, path: Path) -> float:
    """Write [2, samples] as 16-bit FLAC under its final name only once complete. Returns the duration in seconds."""
    with replaced_file(path) as temporary:
        soundfile.write(temporary, waveform.T.numpy(), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return waveform.shape[1] / SAMPLE_RATE_HZ
