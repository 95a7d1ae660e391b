"""Sound → how loud tones and noises are → sound."""

import math

import pytest
import torch

from heartmula_studio.arch.tone_bank import NOISE_SEC, ToneBank, ToneConfig, tone_levels

CONFIG = ToneConfig()
RATE_HZ, HOP = CONFIG.sample_rate, CONFIG.hop_samples
A4 = 69 - CONFIG.lowest_note


def sine(hertz: float, amplitude: float = 0.5, seconds: float = 2.0) -> torch.Tensor:
    """[1, samples]"""
    time = torch.arange(round(seconds * RATE_HZ), dtype=torch.float64) / RATE_HZ
    return (amplitude * torch.sin(2 * math.pi * hertz * time)).float()[None]


def levels_of(num_levels: int = 50, **amplitudes: float) -> torch.Tensor:
    """[1, 2, num_levels, L], silent but for the tones or bands `at_N`."""
    levels = torch.zeros(1, 2, CONFIG.num_levels, num_levels)
    for name, amplitude in amplitudes.items():
        levels[:, :, int(name.removeprefix("at_"))] = amplitude
    return levels


@pytest.mark.parametrize("note", [30, 45, 60, 69, 84, 105])
def test_a_tone_is_heard_as_its_semitone_and_as_loud_as_it_is(note):
    levels = tone_levels(sine(440 * 2 ** ((note - 69) / 12)), CONFIG)[0]
    assert levels.shape == (CONFIG.num_levels, 100)
    middle = levels[: CONFIG.num_tones, 20:80].mean(1)
    assert middle.argmax() == note - CONFIG.lowest_note
    assert middle.max() == pytest.approx(0.5, rel=0.03)
    assert middle.sort().values[-2] < 0.02


def test_a_tone_between_two_semitones_is_one_of_them():
    middle = tone_levels(sine(440 * 2 ** (0.3 / 12)), CONFIG)[0, :, 20:80].mean(1)
    assert middle[A4] == pytest.approx(0.5, rel=0.03)


def test_a_recording_is_as_loud_at_its_ends_as_in_its_middle():
    levels = tone_levels(sine(440), CONFIG)[0, A4]
    assert levels[0] == pytest.approx(0.5, rel=0.25)
    assert levels[-1] == pytest.approx(0.5, rel=0.25)


def test_what_is_above_the_tones_is_heard_in_bands():
    edges = CONFIG.edges_hz()
    levels = tone_levels(sine((edges[9] * edges[10]).sqrt().item()), CONFIG)[0, CONFIG.num_tones :, 20:80].mean(1)
    assert levels.argmax() == 9
    assert levels[9] == pytest.approx(0.5 / math.sqrt(2), rel=0.05)


def test_tones_come_back():
    bank = ToneBank(CONFIG)
    played = bank(levels_of(100, at_10=0.2, at_41=0.5))
    assert played.shape == (1, 2, 100 * HOP)
    heard = tone_levels(played[0], CONFIG)[0, :, 20:80].mean(1)
    assert heard[10] == pytest.approx(0.2, rel=0.1)
    assert heard[A4] == pytest.approx(0.5, rel=0.1)


def test_noise_comes_back_in_its_band_and_differs_between_left_and_right():
    left, right = ToneBank(CONFIG)(levels_of(100, at_90=0.1))[0]
    heard = tone_levels(left[None], CONFIG)[0, CONFIG.num_tones :, 20:80].mean(1)
    assert heard.argmax() == 90 - CONFIG.num_tones
    assert heard.max() == pytest.approx(0.1, rel=0.25)
    assert abs(torch.corrcoef(torch.stack((left, right)))[0, 1]) < 0.2


@pytest.mark.parametrize("start", [0, 37, 3600 * 50])
def test_windows_of_a_song_go_on_where_the_one_before_ends(start):
    bank = ToneBank(CONFIG)
    levels = torch.rand(1, 2, CONFIG.num_levels, 60, generator=torch.Generator().manual_seed(0)) * 0.01
    whole, second = bank(levels, start), bank(levels[..., 40:], start + 40)
    torch.testing.assert_close(whole[..., 40 * HOP :], second, atol=1e-5, rtol=0)


def test_an_oscillator_does_not_click_from_one_level_to_the_next():
    played = ToneBank(CONFIG)(levels_of(20, at_41=0.5))[0, 0]
    steepest = 0.5 * 2 * math.pi * 440 / RATE_HZ
    assert played.diff().abs().max() < 1.1 * steepest


def test_high_tones_are_unsteady_and_differ_between_left_and_right():
    low, high = (ToneBank(CONFIG)(levels_of(200, **{f"at_{n}": 0.1}))[0] for n in (12, CONFIG.num_tones - 1))
    assert torch.equal(low[0], low[1])
    assert abs(torch.corrcoef(high)[0, 1]) < 0.9


@pytest.mark.parametrize("index", [20, 40, 60, 80])
def test_unsteady_tones_are_as_loud_as_steady_ones(index):
    played = ToneBank(CONFIG)(levels_of(400, **{f"at_{index}": 0.1}))
    assert played.square().mean().sqrt().item() == pytest.approx(0.1 / math.sqrt(2), rel=0.06)


def test_the_same_levels_sound_the_same():
    levels = levels_of(20, at_70=0.1, at_90=0.1)
    assert torch.equal(ToneBank(CONFIG)(levels), ToneBank(CONFIG)(levels))


def test_noises_begin_again_after_some_seconds():
    bank, levels = ToneBank(CONFIG), levels_of(10, at_90=0.1)
    assert torch.equal(bank(levels), bank(levels, NOISE_SEC * 50))


@pytest.mark.parametrize(
    "wrong",
    [
        {"highest_note": 100},
        {"lowest_note": 110},
        {"highest_hz": 13_000.0},
        {"up_to_note": (108,)},
        {"wanders_from_hz": 0.0},
    ],
)
def test_values_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ToneConfig(**wrong)


def test_what_moves_to_a_device_is_in_single_precision():
    """Not every device has float64."""
    assert {tensor.dtype for tensor in ToneBank(CONFIG).buffers()} == {torch.float32}
