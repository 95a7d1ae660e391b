"""What was heard in a recording: words with times and confidences, as lines and as LRC."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from heartmula_studio.lyrics.formats import stamp

PAUSE_SEC = 1.0  # between words, which ends a line
COMFORTABLE_CHARS, LONGEST_CHARS = 40, 80  # after which a line ends at punctuation, and at any word

_PUNCTUATION = ",.;:!?…、。，！？；：」』)"
_NO_WORDS = re.compile(r"[\[(*].*[\])*]|[\W_]*")  # "(upbeat music)", "[Applause]", "♪♪"
_NOTES = re.compile(r"[♪♫♬]+")


@dataclass(frozen=True)
class TimedWord:
    """A word as it was transcribed, with the space before it where one is written."""

    text: str
    start_sec: float
    end_sec: float
    confidence: float


@dataclass(frozen=True)
class TimedLyrics:
    """LRC, and how sure each of its lines is, from 0 to 1; None where nothing is sung."""

    text: str
    line_confidences: tuple[float | None, ...]

    @property
    def confidence(self) -> float:
        """The mean over the lines that are sung."""
        sung = [confidence for confidence in self.line_confidences if confidence is not None]
        return sum(sung) / max(len(sung), 1)


def as_lyrics(segments: Iterable[Sequence[TimedWord]]) -> TimedLyrics:
    """Return segments of words as LRC, a line each, but for those that are too long, and those without words."""
    texts, confidences = [], []
    for segment in segments:
        for line in _lines(segment):
            text = " ".join(_NOTES.sub(" ", "".join(word.text for word in line)).split())
            if not _NO_WORDS.fullmatch(text):
                texts.append(stamp(line[0].start_sec) + text)
                confidences.append(round(sum(word.confidence for word in line) / len(line), 2))
    return TimedLyrics("\n".join(texts), tuple(confidences))


def _lines(segment: Sequence[TimedWord]) -> Iterator[Sequence[TimedWord]]:
    """Cut a segment at pauses and line breaks, and where it gets too long for a line."""
    line: list[TimedWord] = []
    for word in segment:
        if line and _ends_before(line, word):
            yield line
            line = []
        line.append(word)
    if line:
        yield line


def _ends_before(line: Sequence[TimedWord], word: TimedWord) -> bool:
    last, length = line[-1], sum(len(one.text) for one in line)
    if "\n" in last.text or word.text.startswith("\n") or word.start_sec - last.end_sec >= PAUSE_SEC:
        return True
    is_at_end = last.text.rstrip().endswith(tuple(_PUNCTUATION))
    return length >= LONGEST_CHARS or (length >= COMFORTABLE_CHARS and is_at_end)
