"""Windows of codes cover the song; their waveforms join without a seam."""

import pytest
import torch

from heartmula_studio.codec.joining import FrameBuffer, code_windows, crossfade, cut, num_windows


@pytest.mark.parametrize(("frames", "windows"), [(1, 1), (52, 1), (372, 1), (373, 2), (424, 2), (692, 2), (693, 3)])
def test_number_of_windows(frames, windows):
    assert num_windows(frames) == windows
    assert len(windows_of(frames)) == windows


@pytest.mark.parametrize(("frames", "windows"), [(1, 1), (32, 1), (33, 2), (66, 2), (67, 3), (200, 5), (5000, 22)])
def test_number_of_growing_windows(frames, windows):
    assert num_windows(frames, is_growing=True) == windows
    assert len(windows_of(frames, is_growing=True)) == windows


def test_windows_overlap_and_start_over_at_the_songs_end():
    first, second = windows_of(400)
    assert first == list(range(372))
    assert second == [i % 400 for i in range(320, 692)]


def test_growing_windows_begin_where_the_one_before_hands_over():
    windows = windows_of(700, is_growing=True)
    starts = [(0, 32), (24, 42), (56, 56), (98, 74), (154, 98), (228, 130), (326, 173), (456, 230), (634, 66)]
    assert [(codes[0], len(codes)) for codes in windows] == starts


@pytest.mark.parametrize(("frames", "last"), [(20, 32), (67, 32), (90, 34), (112, 56), (113, 32)])
def test_the_last_growing_window_is_no_longer_than_what_is_left_or_the_first_one(frames, last):
    assert len(windows_of(frames, is_growing=True)[-1]) == last


def test_a_player_that_begins_with_the_first_growing_window_never_waits():
    """Of a song that is made half as fast again as it plays."""
    windows = windows_of(4000, is_growing=True)
    sounding_from = [codes[0] for codes in windows]
    made = [codes[0] + len(codes) for codes in windows]
    for finished, needed_at in zip(made[1:], sounding_from[1:], strict=True):
        assert (finished - made[0]) / 1.5 <= needed_at


def test_short_song_fills_its_window_by_repetition():
    (window,) = windows_of(100)
    assert window == [i % 100 for i in range(372)]


def test_a_window_waits_for_no_more_than_its_own_frames():
    taken = []
    pieces = (taken.append(i) or torch.full((1, 1), i) for i in range(100))
    windows = code_windows(FrameBuffer(pieces), is_growing=True)
    assert (next(windows).codes.shape[1], len(taken)) == (32, 32)
    assert (next(windows).codes.shape[1], len(taken)) == (42, 66)
    assert (next(windows).codes.shape[1], len(taken)) == (44, 100)
    with pytest.raises(StopIteration):
        next(windows)


def windows_of(num_frames: int, is_growing: bool = False) -> list[list[int]]:
    """The frames of each window, by their numbers."""
    codes = torch.arange(num_frames)[None]
    return [window.codes[0].tolist() for window in code_windows(FrameBuffer([codes]), is_growing)]


def test_equal_overlaps_join_to_the_original():
    whole = torch.rand(2, 1000)
    windows = [(whole[:, :400], 100), (whole[:, 300:700], 50), (whole[:, 650:], 100)]
    torch.testing.assert_close(torch.cat(list(crossfade(windows)), dim=1), whole)


def test_fade_is_linear_and_reaches_both_ends():
    stretches = list(crossfade([(torch.zeros(1, 30), 11), (torch.ones(1, 30), 11)]))
    torch.testing.assert_close(torch.cat(stretches, dim=1)[0, 19:30], torch.linspace(0, 1, 11))


def test_cut_drops_what_is_beyond():
    blocks = list(cut(torch.arange(30.0).reshape(1, 30).split(10, dim=1), lambda: 12))
    assert [block.shape[1] for block in blocks] == [10, 2]
    assert [block.shape[1] for block in cut([torch.zeros(2, 10)] * 3, lambda: 20)] == [10, 10]
