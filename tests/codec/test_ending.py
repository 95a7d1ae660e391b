import math

import pytest
import torch
from torch import Tensor

from heartmula_studio.codec.ending import EndingMeter

RATE = 8000
TIME = torch.arange(6 * RATE) / RATE
TONE = (0.5 * (2 * math.pi * 220 * TIME).sin()).expand(2, -1)


def has_ended(sound: Tensor, block_samples: int = 3001) -> bool:
    meter = EndingMeter(RATE)
    for block in sound.split(block_samples, dim=1):
        meter.add(block)
    return meter.has_ended


@pytest.mark.parametrize(
    "envelope",
    [
        ((6 - TIME) / 2).clamp(max=1),  # a fade-out
        (-TIME).exp(),  # a last chord
        (TIME < 5.5).float(),  # silence after the music
    ],
)
def test_a_recording_that_dies_away_has_ended(envelope: Tensor):
    assert has_ended(TONE * envelope)


@pytest.mark.parametrize("envelope", [torch.ones_like(TIME), TIME / 6, (TIME % 0.6 < 0.4).float()])
def test_a_recording_that_is_cut_off_has_not(envelope: Tensor):
    assert not has_ended(TONE * envelope)


def test_blocks_do_not_matter_and_silence_has_no_end():
    fading = TONE * ((6 - TIME) / 2).clamp(max=1)
    assert {has_ended(fading, size) for size in (100, RATE, 10 * RATE)} == {True}
    assert not has_ended(torch.zeros(2, RATE))
    assert not EndingMeter(RATE).has_ended
