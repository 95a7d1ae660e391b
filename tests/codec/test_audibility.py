"""Issue 24, 9: songs that cannot be heard (below -60 dB or constant) are known as such."""

import math

import pytest
import torch

from heartmula_studio.codec.audibility import LevelMeter

TONE = torch.sin(torch.arange(48_000) * 0.05).repeat(2, 1)


@pytest.mark.parametrize(
    ("samples", "is_audible"),
    [
        (TONE, True),
        (TONE * 2e-3, True),
        (TONE * 1e-3, False),
        (TONE * 0, False),
        (TONE * 0 + 0.5, False),
        (TONE * 1e-4 + 0.5, False),
        (TONE * torch.tensor([[0.0], [1.0]]), True),
        (TONE * math.nan, False),
        (TONE * math.inf, False),
    ],
)
def test_is_audible(samples, is_audible):
    meter = LevelMeter()
    for piece in samples.split(10_000, dim=-1):
        meter.add(piece)
    assert meter.is_audible is is_audible


def test_no_sound_at_all_cannot_be_heard():
    assert not LevelMeter().is_audible
