import random

import numpy as np
import pytest

from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.dataset.windows import cut_windows, split_songs
from heartmula_studio.errors import InvalidInputError

TIMED = "[verse]\n[00:05.00]a\n[00:55.00]b\n[chorus]\n[01:05.00]c\n[01:50.00]d"
UNTIMED = "[verse]\na\nb\n[chorus]\nc\nd"


def songs(*num_frames, lyrics="", tags="piano"):
    codes = [np.random.default_rng(i).integers(0, 128, (8, n)) for i, n in enumerate(num_frames)]
    return song_dataset({"song": f"song {i}", "tags": tags, "lyrics": lyrics, "codes": c} for i, c in enumerate(codes))


def test_a_song_up_to_the_limit_is_one_window():
    (window,) = cut_windows(songs(3000))
    assert (window.start_frame, window.num_frames, window.ends_song) == (0, 3000, True)


def test_a_longer_song_becomes_windows_of_nearly_equal_length():
    windows = cut_windows(songs(3001))
    assert [(w.start_frame, w.num_frames, w.ends_song) for w in windows] == [(0, 1500, False), (1500, 1501, True)]


@pytest.mark.parametrize(("num_frames", "max_window_sec"), [(1, 240), (999, 10), (7501, 240), (15000, 29.76)])
def test_windows_cover_the_song_once_and_only_the_last_ends_it(num_frames, max_window_sec):
    windows = cut_windows(songs(num_frames), max_window_sec)
    lengths = [window.num_frames for window in windows]
    assert [window.start_frame for window in windows] == [sum(lengths[:i]) for i in range(len(lengths))]
    assert sum(lengths) == num_frames
    assert max(lengths) <= max_window_sec * 12.5
    assert max(lengths) - min(lengths) <= 1
    assert [w.ends_song for w in windows] == [False] * (len(windows) - 1) + [True]


def test_every_song_is_cut_on_its_own():
    windows = cut_windows(songs(100, 3200, 50))
    assert [(w.song, w.row, w.num_frames) for w in windows] == [
        ("song 0", 0, 100),
        ("song 1", 1, 1600),
        ("song 1", 1, 1600),
        ("song 2", 2, 50),
    ]


def test_timed_lyrics_go_with_the_window_they_are_sung_in():
    windows = cut_windows(songs(1500, lyrics=TIMED), max_window_sec=60)
    assert [w.lyrics for w in windows] == ["[verse]\na\nb", "[chorus]\nc\nd"]
    assert {w.lyrics_timing for w in windows} == {"timed"}


def test_a_timed_excerpt_has_only_the_lines_it_holds():
    (window,) = cut_windows(songs(750, lyrics=TIMED))
    assert (window.lyrics, window.lyrics_timing) == ("[verse]\na\nb", "timed")


def test_untimed_lyrics_of_a_long_song_are_spread_and_that_is_said():
    windows = cut_windows(songs(1500, lyrics=UNTIMED), max_window_sec=30)
    assert [w.lyrics for w in windows] == ["[verse]\na", "[verse]\nb", "[chorus]\nc", "[chorus]\nd"]
    assert {w.lyrics_timing for w in windows} == {"spread"}


def test_a_song_of_one_window_keeps_its_lyrics_whole():
    (window,) = cut_windows(songs(1500, lyrics=UNTIMED))
    assert (window.lyrics, window.lyrics_timing) == (UNTIMED, "none")


def test_an_instrumental_has_no_timing():
    assert {(w.lyrics, w.lyrics_timing) for w in cut_windows(songs(1500), max_window_sec=30)} == {("", "none")}


def test_a_song_that_does_not_fit_into_the_model_gets_shorter_windows(layout):
    dataset = songs(400, 100, lyrics=UNTIMED)
    free = cut_windows(dataset)
    windows = cut_windows(dataset, layout=layout, max_positions=256)
    for window in windows:
        prompt = layout.build(window.tags, window.lyrics)
        assert prompt.num_positions(window.num_frames) <= 256
    assert [w for w in windows if w.row == 1] == [w for w in free if w.row == 1]
    assert sum(w.num_frames for w in windows if w.row == 0) == 400


def test_lyrics_that_leave_no_room_are_refused_with_the_song(layout):
    with pytest.raises(InvalidInputError, match=r"song 0.*has 256"):
        cut_windows(songs(400, lyrics="word " * 400), layout=layout, max_positions=256)


def test_a_window_of_less_than_a_frame_is_refused():
    with pytest.raises(InvalidInputError, match="max_window_sec"):
        cut_windows(songs(10), max_window_sec=0.05)


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


def test_the_split_is_the_same_in_every_process():
    """Python's own hash of a string differs from process to process."""
    assert split_songs([f"song {i}" for i in range(30)])[1] == ["song 2", "song 5", "song 7"]
