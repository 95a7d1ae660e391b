"""The classifier that says whether tags matter."""

import pytest
import torch

from recipes.nano.audio import SAMPLE_RATE_HZ
from recipes.nano.tag_contrast import clip_statistics, share_of_pieces, share_told_apart, whole_clips


def clips_around(centre: float, count: int = 20) -> torch.Tensor:
    """Clips whose first feature tells the kind; the second varies a hundred times as much and tells nothing."""
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(round(10 * centre)))
    return noise * torch.tensor([1.0, 100.0]) + torch.tensor([centre, 0.0])


def test_clips_that_are_like_those_of_their_kind_are_told_apart():
    assert share_told_apart([clips_around(-4), clips_around(4)], [clips_around(-4.1), clips_around(4.1)]) > 0.9


def test_clips_that_are_all_alike_are_right_half_of_the_time():
    same = clips_around(-4.1)
    assert share_told_apart([clips_around(-4), clips_around(4)], [same, same]) == pytest.approx(0.5)


def test_no_piece_is_recognised_by_itself():
    low, high, unlike_its_kind = (torch.full((5, 1), value) for value in (0.0, 40.0, 60.0))
    pieces = [[low, low + 1, low + 1, unlike_its_kind], [high, high + 1]]
    assert share_of_pieces(pieces, pieces) == pytest.approx(25 / 30)


def test_neither_loudness_nor_what_is_hardly_heard_tells_clips_apart():
    noise = torch.randn(SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0))
    tone = torch.sin(2 * torch.pi * 4000 * torch.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    statistics = clip_statistics(noise)
    assert (clip_statistics(noise / 4) - statistics).abs().max() < 0.3
    assert (clip_statistics(noise + tone / 100) - statistics).abs().max() < 0.1
    assert (clip_statistics(noise + 2 * tone) - statistics).abs().max() > 0.8


def test_a_piece_is_cut_into_whole_clips_and_a_short_one_is_taken_as_it_is():
    assert [len(clip) for clip in whole_clips(torch.zeros(25), 10)] == [10, 10]
    assert [len(clip) for clip in whole_clips(torch.zeros(5), 10)] == [5]
