"""Recordings by other people's encoders are read whole, without a delay, sample for sample as FFmpeg decodes them."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heartmula_studio.codec.audio_file import AudioSource, probe
from tests.codec.corpus import CORPUS, Recording, make, missing_tools, write_sources

TOLERANCE = 5e-6


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_sources(folder)
    return folder


def decoded(path: Path) -> list[np.ndarray]:
    return [block.samples for block in AudioSource.find(path).decode()]


def by_ffmpeg(path: Path, channels: int) -> np.ndarray:
    """FFmpeg's own decode, float32 [channels, n]."""
    decoder = ["-c:a", "mp2float"] if "MP2" in path.name else []  # its usual one rounds to 16 bits
    command = ["ffmpeg", "-v", "quiet", *decoder, "-i", path, "-map", "a:0", "-c:a", "pcm_f32le", "-f", "f32le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.float32).reshape(-1, channels).T


def lateness(heard: np.ndarray, source: np.ndarray) -> int:
    """Samples by which `heard` lags behind, from the cross-correlation of the first channels."""
    size = 1 << int(np.ceil(np.log2(len(heard) + len(source))))
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(source, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    return lag - size if lag > size // 2 else lag


@pytest.mark.parametrize("recording", CORPUS, ids=lambda recording: recording.name)
def test_a_recording_is_read_whole_and_in_time(sources, recording: Recording):
    if missing := missing_tools(recording):
        pytest.skip(f"needs {', '.join(missing)}")
    path = make(recording, sources)
    info, blocks = probe(path), decoded(path)
    assert sum(block.shape[1] for block in blocks) == info.samples
    if recording.samples is not None:
        assert info.samples == recording.samples
    if recording.source is not None:
        source = soundfile.read(sources / f"{recording.source}.wav", always_2d=True)[0]
        assert lateness(np.concatenate([b[0] for b in blocks])[: len(source)], source[:, 0]) == 0
    if recording.by_ffmpeg:
        expected = by_ffmpeg(path, info.channels)
        assert info.samples == expected.shape[1]
        np.testing.assert_allclose(np.concatenate(blocks, axis=1), expected, atol=TOLERANCE, rtol=0)
