"""The figures that a base is judged by, on sounds whose figures are known."""

import pytest
import torch

from recipes.nano.audio import SAMPLE_RATE_HZ
from recipes.nano.sound_figures import beat, chroma_likeness, fade_db, octave_flatness

SECONDS = 8
TIMES = torch.arange(SECONDS * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
NOISE = torch.randn(2, len(TIMES), generator=torch.Generator().manual_seed(0)) * 0.1


def tone(hertz: float) -> torch.Tensor:
    return (0.3 * torch.sin(2 * torch.pi * hertz * TIMES)).expand(2, -1)


def test_clicks_have_a_beat_and_noise_has_none():
    since_click = TIMES % 0.5
    clicks = (since_click < 0.05) * torch.exp(-60 * since_click) * NOISE
    assert beat(clicks) > 0.8
    assert beat(NOISE) < 0.2


def test_the_same_notes_are_alike_an_octave_higher_and_others_are_not():
    tune = torch.cat([tone(hertz)[:, : SAMPLE_RATE_HZ * 2] for hertz in (220, 277, 330, 440)], dim=1)
    higher = torch.cat([tone(2 * hertz)[:, : SAMPLE_RATE_HZ * 2] for hertz in (220, 277, 330, 440)], dim=1)
    assert chroma_likeness(tune, tune) == pytest.approx(1, abs=1e-4)
    assert chroma_likeness(higher, tune) > 0.95
    assert chroma_likeness(tune.flip(1), tune) < 0.5


def test_tones_are_less_flat_than_noise_in_their_octave_alone():
    with_tone, without = octave_flatness(tone(700) + 0.1 * NOISE), octave_flatness(NOISE)
    assert all(0.5 < flatness < 0.62 for flatness in without)
    assert with_tone[1] < 0.1
    assert with_tone[3] == pytest.approx(without[3], abs=0.05)


def test_a_song_that_fades_says_by_how_much():
    assert fade_db(NOISE) < 1
    assert fade_db(NOISE * torch.linspace(1, 0, len(TIMES))) == pytest.approx(25, abs=2)
    assert fade_db(torch.cat((NOISE, torch.zeros(2, 3 * SAMPLE_RATE_HZ)), dim=1)) > 60
