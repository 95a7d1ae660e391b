import time

import pytest

from heartmula_studio.dataset.lyrics import is_timed, lyrics_between, plain_lyrics
from heartmula_studio.lyrics.checking import MAX_LYRICS_CHARS

LRC = """[ar: The Examples]
[ti:Two Windows]
[length: 01:40]
[Verse]
[00:10.00]first
[00:20.50]second
[Chorus]
[00:30.00][01:20]again
[00:34]and again
[Verse]
[00:60.00]third
[01:08.250]fourth
"""


def test_untimed_text_stays_as_written():
    text = "[Intro]\n\n[Verse 1: both]\nOne  two\n(echo)\n\n[Chorus]\nThree"
    assert plain_lyrics(text) == text
    assert not is_timed(text)


def test_stamps_and_metadata_go_and_lines_are_sung_in_order():
    assert is_timed(LRC)
    assert plain_lyrics(LRC) == (
        "[Verse]\nfirst\nsecond\n[Chorus]\nagain\nand again\n[Verse]\nthird\nfourth\n[Chorus]\nagain"
    )


def test_plain_lyrics_of_plain_lyrics_are_the_same():
    assert plain_lyrics(plain_lyrics(LRC)) == plain_lyrics(LRC)


@pytest.mark.parametrize(
    ("line", "start_sec"),
    [
        ("[01:02.50]la", 62.5),
        ("[01:02]la", 62.0),
        ("[00:12:50]la", 12.5),
        ("[01:02:75]la", 62.75),
        ("[1:02,5] la", 62.5),
        ("[120:00.125]la", 7200.125),
    ],
)
def test_stamp_formats(line, start_sec):
    assert lyrics_between(line, start_sec, start_sec + 0.001, 9000.0) == "la"
    assert lyrics_between(line, 0.0, start_sec, 9000.0) == ""


@pytest.mark.parametrize(("offset", "start_sec"), [("+500", 9.5), ("500", 9.5), ("-250", 10.25), (" +60000", 0.0)])
def test_positive_offset_means_sooner(offset, start_sec):
    lyrics = f"[00:10.00]la\n[offset:{offset}]"
    assert lyrics_between(lyrics, start_sec, start_sec + 0.001, 100.0) == "la"


@pytest.mark.parametrize(
    "line",
    [
        "[00:01.00]<00:01.00>Hello <00:01.50>big <00:02.00>world",
        "[00:01.00] <00:01.00> Hello <00:01.50> big <00:02.00> world <00:02.50>",
        "[00:01.00]Hello [00:01.50]big [00:02.00]world",
        "[00:01.00]Hel<00:01.20>lo big world",
    ],
)
def test_word_stamps_are_stripped(line):
    assert plain_lyrics(line) == "Hello big world"


def test_each_window_gets_what_is_sung_in_it_under_the_mark_in_force():
    assert lyrics_between(LRC, 0.0, 30.0, 100.0) == "[Verse]\nfirst\nsecond"
    assert lyrics_between(LRC, 30.0, 60.0, 100.0) == "[Chorus]\nagain\nand again"
    assert lyrics_between(LRC, 20.0, 32.0, 100.0) == "[Verse]\nsecond\n[Chorus]\nagain"
    assert lyrics_between(LRC, 64.0, 100.0, 100.0) == "[Verse]\nfourth\n[Chorus]\nagain"


def test_a_line_belongs_only_to_the_window_it_starts_in():
    assert "second" in lyrics_between(LRC, 0.0, 20.6, 100.0)
    assert "second" not in lyrics_between(LRC, 20.6, 40.0, 100.0)


def test_a_window_without_singing_has_no_lyrics():
    assert lyrics_between(LRC, 40.0, 50.0, 100.0) == ""


def test_lines_after_the_end_of_the_recording_are_left_out():
    assert lyrics_between(LRC, 0.0, 31.0, 31.0) == "[Verse]\nfirst\nsecond\n[Chorus]\nagain"


def test_untimed_lines_of_a_mixed_file_lie_between_their_neighbours():
    lyrics = "[00:10.00]a\n(b)\n[00:30.00]c\n[solo]\n\n[outro]\nd"
    assert lyrics_between(lyrics, 0.0, 19.9, 60.0) == "a"
    assert lyrics_between(lyrics, 19.9, 30.0, 60.0) == "(b)"
    assert lyrics_between(lyrics, 30.0, 60.0, 60.0) == "c\n[solo]\n\n[outro]\nd"


def test_a_timed_section_mark_starts_its_section():
    lyrics = "[00:10.00][solo]\n[00:40.00][verse]\n[00:41.00]a\n[00:42.00]\n[00:50.00]b"
    assert lyrics_between(lyrics, 0.0, 40.5, 60.0) == "[solo]\n[verse]"
    assert lyrics_between(lyrics, 40.5, 60.0, 60.0) == "[verse]\na\nb"


@pytest.mark.parametrize("num_lines", [1, 2, 7, 40])
@pytest.mark.parametrize("num_windows", [2, 3, 5])
def test_untimed_lines_spread_in_proportion_each_exactly_once(num_lines, num_windows):
    lines = [f"line {i}" for i in range(num_lines)]
    edges = [i * 100.0 / num_windows for i in range(num_windows + 1)]
    windows = [lyrics_between("\n".join(lines), a, b, 100.0) for a, b in zip(edges, edges[1:], strict=False)]
    shares = [window.splitlines() for window in windows]
    assert [line for share in shares for line in share] == lines
    assert all(abs(len(share) - num_lines / num_windows) <= 1 for share in shares)


def test_spread_windows_repeat_the_mark_in_force():
    lyrics = "[verse]\na\nb\nc\nd\n[chorus]\ne\nf\ng\nh"
    assert lyrics_between(lyrics, 0.0, 25.0, 100.0) == "[verse]\na\nb"
    assert lyrics_between(lyrics, 25.0, 75.0, 100.0) == "[verse]\nc\nd\n[chorus]\ne\nf"
    assert lyrics_between(lyrics, 75.0, 100.0, 100.0) == "[chorus]\ng\nh"


def test_hostile_characters_go():
    assert plain_lyrics("\ufeff[Verse]\r\nOne\x00\x1b[31m\ttwo\ud800\rthree\x85") == "[Verse]\nOne[31m two\nthree"


@pytest.mark.parametrize(
    "piece", ["[", "<00:", "[00:01", "\n", " ", "[offset:", "[ar:", "[00:01.00]", "<00:01.00>", "a", "-", "1", "(1,2"]
)
def test_as_much_of_anything_as_is_taken_is_read_in_linear_time(piece):
    """Stamps were once cut off one by one, each copying the rest of the line."""
    started = time.monotonic()
    plain_lyrics(piece * (MAX_LYRICS_CHARS // len(piece)))
    assert time.monotonic() - started < 20
