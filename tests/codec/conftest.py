"""Audio files made on the spot."""

from pathlib import Path

import numpy as np
import pytest
import soundfile


def melody(seconds: float, rate_hz: int, channels: int = 2) -> np.ndarray:
    """Two tones and a little noise, float32 [samples, channels], peak about 0.6."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(channels).standard_normal((len(time), channels)) * 0.02
    tones = np.stack([0.3 * np.sin(2 * np.pi * f * time) for f in 220.0 * (1 + np.arange(channels))], axis=1)
    return (tones + 0.2 * np.sin(2 * np.pi * 3 * time)[:, None] * tones + noise).astype(np.float32)


@pytest.fixture
def write_song(tmp_path):
    """Write a melody: write_song("a.mp3", seconds=2, rate_hz=44100, channels=2, **soundfile settings) -> path."""

    def write(name: str, seconds: float = 2.0, rate_hz: int = 44100, channels: int = 2, **settings) -> Path:
        path = tmp_path / name
        soundfile.write(path, melody(seconds, rate_hz, channels), rate_hz, **settings)
        return path

    return write
