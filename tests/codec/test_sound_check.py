"""Figures of recordings, against FFmpeg's and torchaudio's."""

import re
import subprocess

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from heartmula_studio.codec.sound_check import likeness, measure_sound
from tests.recordings import SONGS

RATE_HZ = 44100


def saved(tmp_path, samples, rate_hz=RATE_HZ, **options):
    soundfile.write(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT", **options)
    return tmp_path / "a.wav"


def noise(seconds=4.0, channels=2, level=0.1, rate_hz=RATE_HZ):
    return np.random.default_rng(0).normal(0, level, (round(seconds * rate_hz), channels))


@pytest.mark.parametrize("song", SONGS[:2], ids=lambda song: song.stem)
def test_loudness_is_ffmpegs(song):
    printed = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostats", "-i", song, "-af", "ebur128", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    told = float(re.findall(r"I: +(-[\d.]+) LUFS", printed)[-1])
    assert measure_sound(song).loudness_lufs == pytest.approx(told, abs=0.15)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 2), (11025, 1), (44100, 2), (48000, 1), (96000, 2)])
def test_loudness_is_torchaudios_at_any_rate(tmp_path, rate_hz, channels):
    """Loud and quiet parts and rests, which the gates leave out."""
    samples = np.concatenate([noise(3, channels, level, rate_hz) for level in (0.2, 0.0, 0.001, 0.05)])
    told = torchaudio.functional.loudness(torch.from_numpy(samples.T.copy()).float(), rate_hz).item()
    tolerance = 0.1 if rate_hz > 16_000 else 0.3  # the shelf, half an octave below the highest tone, is made otherwise
    assert measure_sound(saved(tmp_path, samples, rate_hz)).loudness_lufs == pytest.approx(told, abs=tolerance)


def test_what_is_too_short_or_silent_has_no_loudness(tmp_path):
    for samples in (noise(0.3), np.zeros((RATE_HZ, 2))):
        assert measure_sound(saved(tmp_path, samples)).loudness_lufs is None


def test_faults_of_an_export(tmp_path):
    silence = np.zeros((2 * RATE_HZ, 2))
    sound = measure_sound(saved(tmp_path, np.concatenate([silence, noise(3), silence[: RATE_HZ // 2]])))
    assert (sound.silence_before_sec, sound.silence_after_sec) == (2.0, 0.5)
    assert (sound.is_clipped, sound.duration_sec) == (False, 5.5)
    assert abs(sound.correlation) < 0.05
    loud = noise(3, level=0.6)
    assert measure_sound(saved(tmp_path, loud.clip(-1, 1))).is_clipped
    assert not measure_sound(saved(tmp_path, loud / np.abs(loud).max())).is_clipped
    assert measure_sound(saved(tmp_path, noise(3) + [0, 0.02])).dc_offset == pytest.approx(0.02, abs=1e-3)
    mono = noise(3, channels=1)
    assert measure_sound(saved(tmp_path, np.hstack([mono, -mono]))).correlation == pytest.approx(-1)
    assert measure_sound(saved(tmp_path, np.hstack([mono, mono]))).correlation == pytest.approx(1)
    assert measure_sound(saved(tmp_path, mono)).channels == 1


@pytest.mark.parametrize("silence_sec", [0, 0.05, 1 / 3])
def test_one_recording_in_two_formats_is_alike_and_others_are_not(tmp_path, silence_sec):
    samples, rate_hz = soundfile.read(SONGS[0], always_2d=True)
    silence = np.zeros((round(silence_sec * rate_hz), samples.shape[1]))
    soundfile.write(tmp_path / "a.mp3", np.concatenate([silence, samples * 0.5]), rate_hz)
    first, *others = (measure_sound(song).fingerprint for song in SONGS[:4])
    assert likeness(first, measure_sound(tmp_path / "a.mp3").fingerprint) > 0.8
    assert max(likeness(first, other) for other in others) < 0.5
