"""The distance is zero for equal sound and grows with damage."""

import pytest
import torch

from heartmula_studio.codec.quality import log_mel_distance
from tests.codec.conftest import melody


@pytest.fixture
def song():
    return torch.from_numpy(melody(2.0, 24000)).T


def test_equal_waveforms_have_no_distance(song):
    assert log_mel_distance(song, song, 24000) == 0.0


def test_distance_is_symmetric_and_cuts_to_the_shorter(song):
    other = song[:, :40000] * 0.5
    assert log_mel_distance(song, other, 24000) == pytest.approx(log_mel_distance(other, song, 24000))
    assert log_mel_distance(song, other, 24000) == log_mel_distance(song[:, :40000], other, 24000)


def test_doubling_a_loud_sound_costs_log_2(song):
    assert log_mel_distance(song * 50, song * 100, 24000) == pytest.approx(torch.tensor(2.0).log().item(), rel=1e-2)


def test_more_noise_is_further_away(song):
    noise = torch.randn(song.shape, generator=torch.Generator().manual_seed(0))
    distances = [log_mel_distance(song, song + level * noise, 24000) for level in (0.003, 0.03, 0.3)]
    assert distances == sorted(distances)
    assert log_mel_distance(song, torch.zeros_like(song), 24000) > distances[0]
