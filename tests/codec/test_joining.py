"""Windows of codes cover the song; their waveforms join without a seam."""

import pytest
import torch

from heartmula_studio.codec.joining import code_windows, crossfade, cut, num_windows


@pytest.mark.parametrize(("frames", "windows"), [(1, 1), (52, 1), (372, 1), (373, 2), (424, 2), (692, 2), (693, 3)])
def test_number_of_windows(frames, windows):
    assert num_windows(frames) == windows
    assert len(list(code_windows(torch.zeros(8, frames)))) == windows


def test_windows_overlap_and_start_over_at_the_songs_end():
    codes = torch.arange(400)[None]
    first, second = code_windows(codes)
    assert first[0].tolist() == list(range(372))
    assert second[0].tolist() == [i % 400 for i in range(320, 692)]


def test_short_song_fills_its_window_by_repetition():
    (window,) = code_windows(torch.arange(100)[None])
    assert window[0].tolist() == [i % 100 for i in range(372)]


def test_equal_overlaps_join_to_the_original():
    whole = torch.rand(2, 1000)
    joined = torch.cat(list(crossfade([whole[:, :400], whole[:, 300:700], whole[:, 600:]], 100)), dim=1)
    torch.testing.assert_close(joined, whole)


def test_fade_is_linear_and_reaches_both_ends():
    stretches = list(crossfade([torch.zeros(1, 30), torch.ones(1, 30)], 11))
    torch.testing.assert_close(torch.cat(stretches, dim=1)[0, 19:30], torch.linspace(0, 1, 11))


def test_cut_drops_what_is_beyond():
    blocks = list(cut(torch.arange(30.0).reshape(1, 30).split(10, dim=1), 12))
    assert [block.shape[1] for block in blocks] == [10, 2]
    assert [block.shape[1] for block in cut([torch.zeros(2, 10)] * 3, 20)] == [10, 10]
