"""Any number of channels becomes stereo, with every speaker on its side and the front ones at their own level."""

import struct

import numpy as np
import pytest
import soundfile
import torch

from heartmula_studio.codec.audio_file import read_blocks
from heartmula_studio.codec.downmix import USUAL_SPEAKERS, stereo_matrix

HALF_POWER = 0.5**0.5
ITU_MASKS = {
    "2.1": (0x00B, [(1, 0), (0, 1), (0, 0)]),
    "3.1": (0x00F, [(1, 0), (0, 1), (HALF_POWER, HALF_POWER), (0, 0)]),
    "4.0": (0x107, [(1, 0), (0, 1), (HALF_POWER, HALF_POWER), (0.5, 0.5)]),
    "quad": (0x033, [(1, 0), (0, 1), (HALF_POWER, 0), (0, HALF_POWER)]),
    "5.1": (0x03F, [(1, 0), (0, 1), (HALF_POWER, HALF_POWER), (0, 0), (HALF_POWER, 0), (0, HALF_POWER)]),
    "5.1 side": (0x60F, [(1, 0), (0, 1), (HALF_POWER, HALF_POWER), (0, 0), (HALF_POWER, 0), (0, HALF_POWER)]),
}


@pytest.mark.parametrize("channels", USUAL_SPEAKERS)
def test_unnamed_channels_are_taken_for_the_usual_speakers(channels):
    matrix = stereo_matrix(("NONE",) * channels)
    assert matrix.shape == (2, channels)
    assert matrix[0].sum() == matrix[1].sum()
    np.testing.assert_array_equal(matrix, stereo_matrix(USUAL_SPEAKERS[channels]))


@pytest.mark.parametrize("channels", [9, 12, 19])
def test_many_unnamed_channels_alternate_and_do_not_add_up(channels):
    matrix = stereo_matrix(("NONE",) * channels)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6, atol=0)
    assert ((matrix > 0).sum(axis=0) == 1).all()


@pytest.mark.parametrize("layout", ITU_MASKS)
def test_p13_the_channel_mask_of_a_wav_tells_its_speakers(tmp_path, layout):
    """Each channel in turn: fronts at their level, centre at -3 dB on both sides, no low-frequency channel."""
    mask, weights = ITU_MASKS[layout]
    channels = len(weights)
    pulses = np.repeat(np.eye(channels, dtype="<f4"), 100, axis=0)
    guid = struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, channels, 48000, 192000 * channels, 4 * channels, 32, 22, 32, mask) + guid
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", pulses.nbytes) + pulses.tobytes()
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks)
    (heard,) = read_blocks(tmp_path / "a.wav", 48000, 100 * channels)
    np.testing.assert_allclose(heard[:, ::100].T, weights, atol=1e-6)


@pytest.mark.parametrize("name", ["surround.wav", "surround.flac", "surround.ogg"])
def test_p13_left_speaker_of_a_surround_file_keeps_its_level(tmp_path, name):
    """It arrived 7.7 dB below a stereo file's."""
    samples = np.zeros((48000, 6), np.float32)
    samples[:, 0] = 0.5 * np.sin(np.arange(48000) * 0.05)
    soundfile.write(tmp_path / name, samples, 48000)
    left, right = torch.cat(list(read_blocks(tmp_path / name, 48000, 24000)), dim=1)
    assert left[1000:-1000].abs().max() == pytest.approx(0.5, rel=0.05)
    assert right.abs().max() < 1e-3
