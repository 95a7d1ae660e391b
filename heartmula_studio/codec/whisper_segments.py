"""What Whisper writes of a window, as segments of words: its tokens hold the times at which segments begin and end.

The rules are those of "Robust Speech Recognition via Large-Scale Weak Supervision" (Radford et al., 2022): a segment
lies between two time tokens, and the window that follows begins where the last whole segment ends. Pure functions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from heartmula_studio.lyrics.transcript import TimedWord

UNFINISHED = "\ufffd"  # what a part of a character is decoded to
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "yue")
"""Languages of which each piece of text counts as a word."""


@dataclass(frozen=True)
class TokenSegment:
    """Tokens from `begin` to `end`, and the times at which they are said, counted in steps of the window."""

    begin: int
    end: int
    start_step: int
    end_step: int


@dataclass(frozen=True)
class TokenTimes:
    """Of each token: the logarithm of its probability, and when it begins in the window, where that is known."""

    log_probabilities: Sequence[float]
    starts_sec: Sequence[float] | None = None


def segments_of(tokens: Sequence[int], first_time: int, num_steps: int) -> tuple[list[TokenSegment], int]:
    """Return the segments of a window, and the step at which the next window is to begin.

    first_time: the token of time 0, above which all are times. num_steps: of the sound in the window; what is begun at
    its end and not finished belongs to the next one, and is in no segment.
    """
    is_time = [token >= first_time for token in tokens]
    edges = [i + 1 for i, (here, following) in enumerate(pairwise(is_time)) if here and following]
    if not edges:
        first = tokens[0] - first_time if is_time[:1] == [True] else 0
        last = next((token - first_time for token in reversed(tokens[1:]) if token >= first_time), num_steps)
        return [TokenSegment(0, len(tokens), first, max(first, min(last, num_steps)))], num_steps
    ends_whole = is_time[-2:] == [False, True]
    edges = [0, *edges, *([len(tokens)] if ends_whole else [])]
    segments = [
        TokenSegment(begin, end, tokens[begin] - first_time, tokens[end - 1] - first_time)
        for begin, end in pairwise(edges)
    ]
    following = num_steps if ends_whole else segments[-1].end_step
    return segments, following if 0 < following < num_steps else num_steps


def words_of(
    tokens: Sequence[int],
    times: TokenTimes,
    span_sec: tuple[float, float],
    decode: Callable[[Sequence[int]], str],
    language: str = "",
) -> list[TimedWord]:
    """Return the words of a segment's text tokens, with times of the window; `span_sec` is when it begins and ends.

    Where tokens have no times, words share the segment's by their length. A word's confidence is the geometric mean of
    its tokens' probabilities.
    """
    pieces = list(_pieces(tokens, decode))
    groups: list[list[tuple[str, int, int]]] = []
    for piece in pieces:
        if not groups or piece[0][:1].isspace() or language in WITHOUT_SPACES:
            groups.append([])
        groups[-1].append(piece)
    texts = ["".join(text for text, _, _ in group) for group in groups]
    starts = _starts(texts, [group[0][1] for group in groups], times, span_sec)
    ends = [*starts[1:], max(span_sec[1], starts[-1])] if starts else []
    return [
        TimedWord(text, start, end, _confidence(times.log_probabilities[group[0][1] : group[-1][2]]))
        for text, group, start, end in zip(texts, groups, starts, ends, strict=True)
    ]


def _pieces(tokens: Sequence[int], decode: Callable[[Sequence[int]], str]) -> Iterator[tuple[str, int, int]]:
    """Yield texts of whole characters, each with where its tokens begin and end."""
    begin = 0
    for end in range(1, len(tokens) + 1):
        text = decode(tokens[begin:end])
        if UNFINISHED not in text or end == len(tokens):
            yield text.replace(UNFINISHED, ""), begin, end
            begin = end


def _starts(
    texts: Sequence[str], begins: Sequence[int], times: TokenTimes, span_sec: tuple[float, float]
) -> list[float]:
    low, high = span_sec
    if times.starts_sec is not None:
        return [min(max(times.starts_sec[begin], low), max(high, low)) for begin in begins]
    total = max(sum(map(len, texts)), 1)
    lengths_before = [sum(map(len, texts[:number])) for number in range(len(texts))]
    return [low + (high - low) * length / total for length in lengths_before]


def _confidence(log_probabilities: Sequence[float]) -> float:
    return min(1.0, math.exp(sum(log_probabilities) / max(len(log_probabilities), 1)))
