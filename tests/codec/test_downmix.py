"""Any number of channels becomes stereo, with every speaker on its side and nothing clipped."""

import numpy as np
import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import read_blocks
from heartmula_studio.codec.downmix import stereo_matrix

SPEAKERS = {
    ("WAV", 3): "LRC",
    ("WAV", 6): "LRCxLR",
    ("WAV", 8): "LRCxLRLR",
    ("OGG", 3): "LCR",
    ("OGG", 6): "LCRLRx",
    ("OGG", 8): "LCRLRLRx",
}


@pytest.mark.parametrize("channels", range(1, 20))
@pytest.mark.parametrize("audio_format", ["WAV", "OGG"])
def test_both_sides_get_a_full_and_equal_share(channels, audio_format):
    matrix = stereo_matrix(channels, audio_format)
    assert matrix.shape == (2, channels)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6, atol=0)
    assert (matrix >= 0).all()


@pytest.mark.parametrize(("kind", "speakers"), SPEAKERS.items())
def test_speakers_go_to_their_side(kind, speakers):
    sides = {(True, False): "L", (False, True): "R", (True, True): "C", (False, False): "x"}
    matrix = stereo_matrix(kind[1], kind[0])
    assert "".join(sides[left > 0, right > 0] for left, right in matrix.T) == speakers


@pytest.mark.parametrize("name", ["surround.wav", "surround.flac", "surround.ogg"])
def test_left_speaker_of_a_surround_file_is_heard_left_only(tmp_path, name):
    samples = np.zeros((48000, 6), np.float32)
    samples[:, 0] = 0.5 * np.sin(np.arange(48000) * 0.05)
    soundfile.write(tmp_path / name, samples, 48000)
    left, right = torch.cat(list(read_blocks(tmp_path / name, 48000, 24000)), dim=1)
    assert left[1000:-1000].abs().max() == pytest.approx(0.5 / (1 + 2 * 0.5**0.5), rel=0.05)
    assert right.abs().max() < 1e-3
