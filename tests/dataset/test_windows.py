import random
from dataclasses import replace

import pytest
import torch

from heartmula_studio.codec.track_version import TrackVersion
from heartmula_studio.dataset.windows import TrackInfo, Window, cut_song, cut_to_fit, split_songs, window_to_fit
from heartmula_studio.errors import InvalidInputError

TIMED = "[verse]\n[00:05.00]a\n[00:55.00]b\n[chorus]\n[01:05.00]c\n[01:50.00]d"
UNTIMED = "[verse]\na\nb\n[chorus]\nc\nd"


def song(num_frames, lyrics="") -> TrackInfo:
    return TrackInfo("Aria", row=3, tags="piano", lyrics=lyrics, num_frames=num_frames)


def test_a_song_up_to_the_limit_is_one_window():
    assert cut_song(song(3000)) == [Window("Aria", 3, "piano", "", 0, 3000, ends_song=True, lyrics_timing="none")]


def test_a_longer_song_becomes_windows_of_nearly_equal_length():
    windows = cut_song(song(3001))
    assert [(w.start_frame, w.num_frames, w.ends_song) for w in windows] == [(0, 1500, False), (1500, 1501, True)]


@pytest.mark.parametrize(("num_frames", "max_window_sec"), [(1, 240), (999, 10), (7501, 240), (15000, 29.76)])
def test_windows_cover_the_song_once_and_only_the_last_ends_it(num_frames, max_window_sec):
    windows = cut_song(song(num_frames), max_window_sec)
    lengths = [window.num_frames for window in windows]
    assert [window.start_frame for window in windows] == [sum(lengths[:i]) for i in range(len(lengths))]
    assert sum(lengths) == num_frames
    assert max(lengths) <= max_window_sec * 12.5
    assert max(lengths) - min(lengths) <= 1
    assert [w.ends_song for w in windows] == [False] * (len(windows) - 1) + [True]


def test_timed_lyrics_go_with_the_window_they_are_sung_in():
    windows = cut_song(song(1500, TIMED), max_window_sec=60)
    assert [w.lyrics for w in windows] == ["[verse]\na\nb", "[chorus]\nc\nd"]
    assert {w.lyrics_timing for w in windows} == {"timed"}


def test_a_timed_excerpt_has_only_the_lines_it_holds():
    (window,) = cut_song(song(750, TIMED))
    assert (window.lyrics, window.lyrics_timing) == ("[verse]\na\nb", "timed")


def test_untimed_lyrics_of_a_long_song_are_spread_and_that_is_said():
    windows = cut_song(song(1500, UNTIMED), max_window_sec=30)
    assert [w.lyrics for w in windows] == ["[verse]\na", "[verse]\nb", "[chorus]\nc", "[chorus]\nd"]
    assert {w.lyrics_timing for w in windows} == {"spread"}


def test_a_song_of_one_window_keeps_its_lyrics_whole():
    (window,) = cut_song(song(1500, UNTIMED))
    assert (window.lyrics, window.lyrics_timing) == (UNTIMED, "none")


def test_an_instrumental_has_no_timing():
    assert {(w.lyrics, w.lyrics_timing) for w in cut_song(song(1500), max_window_sec=30)} == {("", "none")}


def test_a_song_that_does_not_fit_into_the_model_gets_shorter_windows(layout):
    cut = cut_to_fit(song(400, UNTIMED), 240.0, layout, max_positions=256)
    for window, prompt in cut:
        assert torch.equal(prompt.tokens, layout.build("piano", window.lyrics).tokens)
        assert len(prompt.tokens) + window.num_frames <= 256
    assert len(cut) > 1
    assert sum(window.num_frames for window, _ in cut) == 400


def test_a_song_that_just_fits_into_the_model_stays_whole(layout):
    needed = len(layout.build("piano", UNTIMED).tokens) + 100
    ((window, _),) = cut_to_fit(song(100, UNTIMED), 240.0, layout, max_positions=needed)
    assert window.num_frames == 100
    assert len(cut_to_fit(song(100, UNTIMED), 8.0, layout, max_positions=needed)) == 1
    with pytest.raises(InvalidInputError, match=rf"need {needed} positions"):
        cut_to_fit(song(100, UNTIMED), 8.0, layout, max_positions=needed - 1)


def test_lyrics_that_leave_no_room_are_refused_with_the_song(layout):
    with pytest.raises(InvalidInputError, match=r"Aria.*has 256"):
        cut_to_fit(song(400, "word " * 400), 240.0, layout, max_positions=256)


def test_a_window_of_less_than_a_frame_is_refused():
    with pytest.raises(InvalidInputError, match="max_window_sec"):
        cut_song(song(10), max_window_sec=0.05)


@pytest.mark.parametrize(("num_songs", "num_held_out"), [(1, 0), (5, 0), (6, 1), (10, 1), (19, 1), (20, 2), (105, 10)])
def test_one_song_in_ten_is_held_out(num_songs, num_held_out):
    names = [f"song {i}" for i in range(num_songs)]
    train, held_out = split_songs(names)
    assert len(held_out) == num_held_out
    assert sorted(train + held_out) == sorted(names)


def test_the_split_does_not_depend_on_the_order():
    names = [f"song {i}" for i in range(30)]
    shuffled = random.Random(0).sample(names, len(names))
    assert [set(part) for part in split_songs(names)] == [set(part) for part in split_songs(shuffled)]


def test_names_that_are_not_unicode_can_be_split():
    names = [f"Caf\udce9 {i}" for i in range(6)]
    assert len(split_songs(names)[1]) == 1


def test_the_split_is_the_same_in_every_process():
    """Python's own hash of a string differs from process to process."""
    assert split_songs([f"song {i}" for i in range(30)])[1] == ["song 2", "song 5", "song 7"]


def test_lyrics_go_with_a_drawn_window_and_it_fits_into_the_model(layout):
    track = TrackInfo("Aria", 0, "piano", "[00:01.00]a\n[00:20.00]b", 400)
    window, prompt = window_to_fit(track, 200, 200, layout, max_positions=4096)
    assert (window.start_frame, window.num_frames, window.lyrics) == (200, 200, "b")
    window, prompt = window_to_fit(track, 200, 200, layout, max_positions=len(prompt.tokens) + 150)
    assert window.num_frames == 150
    with pytest.raises(InvalidInputError, match="Aria"):
        window_to_fit(track, 200, 200, layout, max_positions=len(prompt.tokens) + 20)


def test_a_song_that_is_cut_off_has_no_end():
    cut_off = replace(song(300), ends=False)
    assert [window.ends_song for window in cut_song(cut_off, 12.0)] == [False, False]


def test_lyrics_of_another_version_are_those_sung_in_it(layout):
    """Read faster and later, the same frame is further on in the recording."""
    track = TrackInfo("Aria", 0, "piano", "[00:01.00]a\n[00:20.00]b", 300)
    assert window_to_fit(track, 240, 50, layout, 4096)[0].lyrics == "b"  # from 19.2 s on
    faster = replace(track, version=TrackVersion(1.05, 0.06))
    assert window_to_fit(faster, 240, 50, layout, 4096)[0].lyrics == ""  # from 20.2 s on
    assert window_to_fit(faster, 200, 50, layout, 4096)[0].lyrics == "b"
