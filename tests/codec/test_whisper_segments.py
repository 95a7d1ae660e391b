"""Whisper's tokens become segments of words. Here times are the tokens from 100 on, of which 50 fill a window."""

import math

import pytest

from heartmula_studio.codec.whisper_segments import TokenSegment, TokenTimes, segments_of, words_of
from heartmula_studio.lyrics.transcript import TimedWord

FIRST, STEPS = 100, 50


@pytest.mark.parametrize(
    ("tokens", "segments", "following"),
    [
        ([103, 1, 2, 110], [(0, 4, 3, 10)], 50),  # one whole segment, and nothing behind it
        ([100, 1, 110, 112, 2, 120], [(0, 3, 0, 10), (3, 6, 12, 20)], 50),
        ([100, 1, 110, 112], [(0, 3, 0, 10)], 10),  # the next one has begun
        ([100, 1, 110, 112, 2, 3], [(0, 3, 0, 10)], 10),  # and is cut off by the window
        ([100, 1, 2], [(0, 3, 0, 50)], 50),  # no time at the end
        ([1, 2], [(0, 2, 0, 50)], 50),
        ([100], [(0, 1, 0, 50)], 50),  # nothing said
        ([100, 1, 100, 100], [(0, 3, 0, 0)], 50),  # times that lead nowhere
        ([100, 1, 190], [(0, 3, 0, 50)], 50),  # past the end
    ],
)
def test_segments_lie_between_times_and_the_next_window_begins_behind_the_last_whole_one(tokens, segments, following):
    assert segments_of(tokens, FIRST, STEPS) == ([TokenSegment(*segment) for segment in segments], following)


def decode(tokens: list[int]) -> str:
    """Tokens are bytes."""
    return bytes(tokens).decode(errors="replace")


def written(
    text: str, language: str = "", starts_sec: list[float] | None = None, likely: float = 0.5
) -> list[TimedWord]:
    tokens = list(text.encode())
    times = TokenTimes([math.log(likely)] * len(tokens), starts_sec)
    return words_of(tokens, times, (2.0, 4.0), decode, language)


def test_words_share_the_time_of_their_segment_by_their_length_where_tokens_have_none():
    assert written(" ab cde") == [
        TimedWord(" ab", 2.0, pytest.approx(2 + 2 * 3 / 7), pytest.approx(0.5)),
        TimedWord(" cde", pytest.approx(2 + 2 * 3 / 7), 4.0, pytest.approx(0.5)),
    ]
    assert written("") == []


def test_words_begin_with_their_first_token_and_stay_in_their_segment():
    words = written(" ab c", starts_sec=[2.5, 2.5, 2.6, 9.0, 9.1])
    assert [(word.text, word.start_sec, word.end_sec) for word in words] == [(" ab", 2.5, 4.0), (" c", 4.0, 4.0)]
    assert written(" a", starts_sec=[0.0, 0.0])[0].start_sec == 2.0


def test_characters_of_several_tokens_are_put_together():
    assert [word.text for word in written(" né à")] == [" né", " à"]
    assert [word.text for word in written("夜空", "ja")] == ["夜", "空"]
    assert [word.text for word in written("夜空", "ko")] == ["夜空"]
    cut_off = words_of(list(" né".encode())[:-1], TokenTimes([0.0] * 3), (0, 1), decode)
    assert [(word.text, word.confidence) for word in cut_off] == [(" n", 1.0)]
