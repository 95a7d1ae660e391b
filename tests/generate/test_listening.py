"""Figures beside the ear: what tells songs apart, and what they copy."""

import math

import pytest
import torch
from torch import Tensor

from heartmula_studio.generate.listening import (
    BANDS,
    ClipJudge,
    audible_effect,
    clip_statistics,
    longest_shared_run,
    nearest_copy,
    nearest_kind,
    nearness,
    usual_run,
)

RATE = 24_000


def tone(hertz: float, seed: int, seconds: float = 13.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(RATE * seconds)) / RATE
    return 0.1 * (2 * math.pi * hertz * time).sin() + 0.02 * torch.randn(len(time), generator=generator)


@pytest.fixture(scope="module")
def low() -> list[Tensor]:
    return [clip_statistics(tone(200 + 3 * seed, seed), RATE) for seed in range(4)]


@pytest.fixture(scope="module")
def high() -> list[Tensor]:
    return [clip_statistics(tone(2000 + 30 * seed, 10 + seed), RATE) for seed in range(4)]


def test_statistics_do_not_hear_loudness():
    sound = tone(440, 0)
    loud, quiet = clip_statistics(sound, RATE), clip_statistics(sound / 10, RATE)
    assert loud.shape == (2, 2 * BANDS)
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=0)


def test_channels_are_heard_together_and_a_short_sound_is_one_clip():
    sound = tone(440, 0, seconds=2.0)
    stereo = clip_statistics(torch.stack((sound, sound)), RATE)
    assert stereo.shape == (1, 2 * BANDS)
    torch.testing.assert_close(stereo, clip_statistics(sound, RATE))


def test_kinds_are_told_apart_on_songs_that_were_not_learnt(low, high):
    learnt = [torch.cat(low[:3]), torch.cat(high[:3])]
    judge = ClipJudge.learn(learnt)
    assert [judge.kind_of(low[3]), judge.kind_of(high[3])] == [0, 1]
    assert [nearest_kind(learnt, low[3]), nearest_kind(learnt, high[3])] == [0, 1]


def test_nearness_is_a_place_between_base_and_tracks(low, high):
    base, style = torch.cat(low), torch.cat(high)
    assert nearness(base, style, base) == pytest.approx(0, abs=1e-5)
    assert nearness(base, style, style) == pytest.approx(1, abs=1e-5)
    assert nearness(base, style, (base.mean(0) + style.mean(0))[None] / 2) == pytest.approx(0.5, abs=1e-5)


def test_untuned_songs_have_no_audible_effect(low, high):
    effect = audible_effect(low[:2], low[:2], torch.cat(high), torch.cat(low[2:]))
    assert effect.told == 0.5
    assert audible_effect(high[:2], low[:2], torch.cat(high[2:]), torch.cat(low[2:])).told == 1


def codes(*first_codebook: int) -> Tensor:
    return torch.tensor([first_codebook, [0] * len(first_codebook)])


def test_held_codes_count_once_in_a_shared_run():
    song, track = codes(9, 1, 1, 1, 2, 3, 3, 7), codes(8, 8, 1, 2, 2, 3, 5)
    run = longest_shared_run(song, track)
    assert (run.changes, run.song_sec, run.track_sec) == (3, pytest.approx(0.08), pytest.approx(0.16))


def test_silence_is_no_copy():
    assert longest_shared_run(codes(*[4] * 100), codes(*[4] * 100)).changes == 1
    assert longest_shared_run(codes(1, 2), codes(3, 4)).changes == 0


def test_the_nearest_track_is_named_and_tracks_are_the_yardstick():
    tracks = [codes(1, 2, 3, 4), codes(5, 6, 7, 8), codes(1, 2, 8, 9)]
    place, run = nearest_copy(codes(0, 6, 7, 8), tracks)
    assert (place, run.changes) == (1, 3)
    assert usual_run(tracks) == 2
    assert usual_run(tracks[:1]) == 0
