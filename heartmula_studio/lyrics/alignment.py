"""When known lines are sung: their words are looked for, in order, among transcribed words with times.

What was misheard, left out or sung besides does not matter much: of all ways to pair the words of the text with those
that were heard, the one is taken with the most likeness in the longest runs.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.formats import stamp
from heartmula_studio.lyrics.parsing import LyricLine, parse_lyrics
from heartmula_studio.lyrics.transcript import TimedLyrics, TimedWord

MIN_LIKENESS = 0.5  # of two words that are taken for one
MISMATCH, BREAK = -0.2, -0.5  # the score of another word within a run of pairs, and of beginning a run
MIN_HEARD = 0.5  # of a line's words, for it to be given a time
MAX_GAP_SEC = 4.0  # between the first words of a line
WORD_SEC = 0.3  # that a word takes where nothing tells
MAX_PAIRS = 50_000_000  # each takes two bytes

_WITHOUT_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = re.compile(rf"[{_WITHOUT_SPACES}]|[^\W_{_WITHOUT_SPACES}]+")
_FROM_BEFORE, _FROM_LEFT, _PAIRED = range(3)


@dataclass(frozen=True)
class _Token:
    """A word as it is compared; a character where words are written without spaces."""

    text: str
    start_sec: float = 0.0
    end_sec: float = 0.0
    confidence: float = 0.0


def align(lyrics: str, heard: Sequence[TimedWord]) -> TimedLyrics:
    """Put stamps before those lines of plain lyrics that are found among the words heard; the words stay as they are.

    Lines that are not found get no stamp, and the confidence 0. Raises InvalidInputError for absurdly many words.
    """
    lines = parse_lyrics(lyrics)
    written = [(number, token) for number, line in enumerate(lines) for token in map(_Token, _tokens(line.text))]
    spoken = [token for word in heard for token in _timed_tokens(word)]
    if len(written) * len(spoken) > MAX_PAIRS:
        raise InvalidInputError(
            f"{len(written):,} words cannot be looked for among {len(spoken):,}.", "Give the words of one song."
        )
    likeness = _likeness([token.text for _, token in written], [token.text for token in spoken])
    found: dict[int, list[tuple[int, _Token, float]]] = {}
    first_of = {number: at for at, (number, _) in reversed(list(enumerate(written)))}
    for at, by in _pairs(likeness):
        number = written[at][0]
        found.setdefault(number, []).append((at - first_of[number], spoken[by], float(likeness[at, by])))
    counts = {number: sum(1 for _ in group) for number, group in groupby(number for number, _ in written)}
    times = _line_times(found, counts)
    return _stamped(lyrics, lines, times)


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold().replace("'", "").replace("’", ""))
    return _TOKEN.findall("".join(c for c in plain if unicodedata.category(c) != "Mn"))


def _timed_tokens(word: TimedWord) -> Iterator[_Token]:
    """A word of several tokens takes the same time for each."""
    texts = _tokens(word.text)
    step = (word.end_sec - word.start_sec) / max(len(texts), 1)
    for number, text in enumerate(texts):
        start = word.start_sec + number * step
        yield _Token(text, start, start + step, word.confidence)


def _likeness(written: Sequence[str], spoken: Sequence[str]) -> np.ndarray:
    """Dice's coefficient of the letter pairs of each two words, [written, spoken], 1 where they are the same."""
    kinds = sorted({*written, *spoken})
    pairs = [[f" {kind} "[i : i + 2] for i in range(len(kind) + 1)] for kind in kinds]
    columns = {pair: column for column, pair in enumerate(sorted({pair for row in pairs for pair in row}))}
    table = np.zeros((len(kinds), len(columns)), np.float32)
    for row, found in enumerate(pairs):
        table[row, [columns[pair] for pair in found]] = 1
    row_of = {kind: row for row, kind in enumerate(kinds)}
    a: np.ndarray = table[[row_of[word] for word in written]]
    b: np.ndarray = table[[row_of[word] for word in spoken]]
    sizes = a.sum(axis=1)[:, None] + b.sum(axis=1)
    return np.asarray(2 * (a @ b.T) / np.maximum(sizes, 1))


def _pairs(likeness: np.ndarray) -> list[tuple[int, int]]:
    """The pairs (written, spoken) of the best alignment, in order; words that are unlike are no pair."""
    rows, columns = likeness.shape
    steps, goes_on = np.zeros((rows, columns), np.int8), np.zeros((rows, columns), bool)
    best, run = np.zeros(columns + 1, np.float32), np.full(columns + 1, -np.inf, np.float32)
    for row in range(rows):
        scores = np.where(likeness[row] >= MIN_LIKENESS, likeness[row], MISMATCH)
        goes_on[row] = run[:-1] >= best[:-1] + BREAK
        paired = scores + np.maximum(run[:-1], best[:-1] + BREAK)
        reached = np.maximum(paired, best[1:])
        now = np.maximum.accumulate(np.concatenate(([0.0], reached)))
        steps[row] = np.where(now[1:] > reached, _FROM_LEFT, np.where(paired >= best[1:], _PAIRED, _FROM_BEFORE))
        best, run = now.astype(np.float32), np.concatenate(([-np.inf], paired)).astype(np.float32)
    return [(at, by) for at, by in _walked_back(steps, goes_on) if likeness[at, by] >= MIN_LIKENESS]


def _walked_back(steps: np.ndarray, goes_on: np.ndarray) -> list[tuple[int, int]]:
    row, column = steps.shape[0] - 1, steps.shape[1] - 1
    pairs, is_in_run = [], False
    while row >= 0 and column >= 0:
        if is_in_run or steps[row, column] == _PAIRED:
            pairs.append((row, column))
            is_in_run = bool(goes_on[row, column])
            row, column = row - 1, column - 1
        elif steps[row, column] == _FROM_LEFT:
            column -= 1
        else:
            row -= 1
    return pairs[::-1]


def _line_times(
    found: dict[int, list[tuple[int, _Token, float]]], counts: dict[int, int]
) -> dict[int, tuple[float, float]]:
    """When each line that enough was heard of begins, and how sure that is; no line begins before the one above."""
    times: dict[int, tuple[float, float]] = {}
    earliest = 0.0
    for number in sorted(found):
        words = found[number]
        while len(words) > 1 and words[1][1].start_sec - words[0][1].end_sec > MAX_GAP_SEC:
            words = words[1:]
        if len(words) < MIN_HEARD * counts[number]:
            continue
        confidence = sum(like * token.confidence for _, token, like in words) / counts[number]
        before, first, _ = words[0]
        start = max(earliest, first.start_sec - before * WORD_SEC)
        times[number] = round(min(start, first.start_sec), 3), round(confidence, 2)
        earliest = words[-1][1].end_sec
    return times


def _stamped(lyrics: str, lines: Sequence[LyricLine], times: dict[int, tuple[float, float]]) -> TimedLyrics:
    """Stamp the text as it was written where that leaves its words as they are, else as the model reads it."""
    as_written = _stamped_text(lyrics, lines, times)
    sung = [line.text for line in lines if line.text]
    if as_written and [line.text for line in parse_lyrics(as_written.text) if line.text] == sung:
        return as_written
    rows: list[tuple[str, float | None]] = []
    for number, line in enumerate(lines):
        rows += [(lead, None) for lead in line.lead]
        if line.text:
            rows.append(_row(line.text, times.get(number)))
    return TimedLyrics("\n".join(text for text, _ in rows), tuple(confidence for _, confidence in rows))


def _stamped_text(lyrics: str, lines: Sequence[LyricLine], times: dict[int, tuple[float, float]]) -> TimedLyrics | None:
    """None where a sung line is not to be found in the text as a whole, as its chords stand between the words."""
    waiting = [(number, line.text) for number, line in enumerate(lines) if line.text]
    rows: list[tuple[str, float | None]] = []
    for raw in lyrics.split("\n"):
        if waiting and waiting[0][1] in raw:
            rows.append(_row(raw, times.get(waiting.pop(0)[0])))
        else:
            rows.append((raw, None))
    if waiting:
        return None
    return TimedLyrics("\n".join(text for text, _ in rows), tuple(confidence for _, confidence in rows))


def _row(text: str, time: tuple[float, float] | None) -> tuple[str, float | None]:
    return (stamp(time[0]) + text, time[1]) if time else (text, 0.0)
