"""Loudness against the test signals of EBU Tech 3341, and sound that was brought to one against another meter."""

import pytest
import torch
import torchaudio
from torch import Tensor

from heartmula_studio.codec.loudness import Leveller, Loudness, LoudnessMeter

RATE_HZ = 48_000


def tone(db: float, seconds: float, hz: float = 1000.0, phase: float = 0.0) -> Tensor:
    """[2, n]"""
    angle = 2 * torch.pi * hz * torch.arange(round(seconds * RATE_HZ), dtype=torch.float64) / RATE_HZ + phase
    return (10 ** (db / 20) * torch.sin(angle)).float().expand(2, -1)


def measured(sound: Tensor) -> Loudness:
    meter = LoudnessMeter(RATE_HZ)
    for piece in sound.split(10_007, dim=1):
        meter.add(piece)
    return meter.finish()


def levelled(sound: Tensor, lufs: float, folder) -> tuple[Tensor, Leveller]:
    leveller = Leveller(lufs, RATE_HZ, folder)
    return torch.cat(list(leveller.level(sound.split(10_007, dim=1))), dim=1), leveller


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        ([(-23, 0.96)], -23),
        ([(-36, 2), (-23, 30), (-36, 2)], -23),  # the relative gate
        ([(-72, 2), (-36, 2), (-23, 30), (-36, 2), (-72, 2)], -23),  # both gates
    ],
)
def test_loudness_is_integrated_between_the_gates(parts, lufs):
    assert measured(torch.cat([tone(*part) for part in parts], dim=1)).lufs == pytest.approx(lufs, abs=0.1)


def test_peaks_between_samples_are_seen():
    loudness = measured(tone(-6, 2, RATE_HZ / 4, torch.pi / 4))
    assert 0.49 < loudness.true_peak < 0.54  # the samples reach 0.35


@pytest.mark.parametrize("wanted", [-30.0, -14.0])
def test_sound_comes_out_as_loud_as_is_wanted(tmp_path, wanted):
    noise = 0.1 * torch.randn(2, 5 * RATE_HZ, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    out, leveller = levelled(noise, wanted, tmp_path)
    assert torchaudio.functional.loudness(0.1 * out, RATE_HZ).item() + 20 == pytest.approx(wanted, abs=0.1)
    assert leveller.lufs == pytest.approx(wanted)
    assert torch.allclose(out, noise * 10 ** (leveller.gain_db / 20))
    assert list(tmp_path.iterdir()) == []


def test_peaks_are_never_clipped_and_what_cannot_be_heard_stays(tmp_path):
    clicks = 0.05 * tone(0, 3)
    clicks = torch.where(torch.arange(clicks.shape[1]) % RATE_HZ == 0, 0.9, clicks)
    out, leveller = levelled(clicks, -8.0, tmp_path)
    assert 0.8 < out.abs().max() < 10 ** (-1 / 20)
    assert leveller.lufs < -20
    for still in (torch.zeros(2, RATE_HZ), tone(-66, 1), tone(-20, 0.3)):
        out, leveller = levelled(still, -14.0, tmp_path)
        assert torch.equal(out, still)
        assert (leveller.gain_db, leveller.lufs) == (0.0, None)
