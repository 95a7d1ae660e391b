"""How closely a sound follows another over time."""

import pytest
import torch
from torch import Tensor

from recipes.nano.audio import SAMPLE_RATE_HZ
from recipes.nano.likeness import band_likeness, note_likeness


def tune(pitches_hz: list[float]) -> Tensor:
    """One tone after the other, half a second each, faded in and out: [2, T]."""
    samples = SAMPLE_RATE_HZ // 2
    second, fades = torch.arange(samples) / SAMPLE_RATE_HZ, torch.hann_window(samples)
    return torch.cat([fades * torch.sin(2 * torch.pi * pitch * second) for pitch in pitches_hz]).expand(2, -1)


def test_a_sound_is_like_itself_however_loud():
    sound = tune([220, 330, 440])
    assert band_likeness(sound / 2, sound) == pytest.approx(1, abs=0.01)
    assert note_likeness(sound / 2, sound) == pytest.approx(1, abs=1e-3)


def test_a_tune_in_another_octave_has_the_same_notes_in_other_bands():
    high, low = tune([440, 660, 587]), tune([220, 330, 293.5])
    assert note_likeness(low, high) > 0.9
    assert band_likeness(low, high) < 0.5


def test_other_notes_are_not_alike():
    assert note_likeness(tune([440, 660, 587]), tune([494, 440, 660])) < 0.2


def test_silence_is_like_nothing():
    silence = torch.zeros(2, SAMPLE_RATE_HZ)
    assert note_likeness(silence, tune([440, 660])) == 0
