"""Lyrics line by line, out of whatever people keep them in: what is sung, in which section, when, and what is not."""

import re
from dataclasses import dataclass
from functools import lru_cache

from heartmula_studio.files.text import clean_text
from heartmula_studio.lyrics.chord_sheets import without_chords
from heartmula_studio.lyrics.formats import as_lrc
from heartmula_studio.lyrics.leftovers import is_leftover, without_page_marks
from heartmula_studio.lyrics.sections import names_section, section_mark, split_at_marks

_TIME = r"(-?)(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:[.,]\d{1,3})?)"
_LEADING_STAMP = re.compile(rf" *\[{_TIME}\]")
_ANY_STAMP = re.compile(rf"\[{_TIME}\]|<{_TIME}>")
# The known LRC tags, which no section is called: they go from untimed text too.
_METADATA = re.compile(
    r"\[(?:ar|al|ti|au|by|re|ve|ver|la|lr|id|qq|app|krc|tool|length|offset|hash|sign|total|kana|lang|language|encoding"
    r"|duration|source|#)\s*:.*\]",
    re.IGNORECASE,
)
_PLAYER_TAG = re.compile(r"\[([a-z][a-z0-9_]*)\s*:.*\]")  # of any player, in timed text
_SINGER = re.compile(r" *(?:[FMD]|v\d{1,2}|bg): *")  # of a timed line: female, male, duet; first, second, background
_OFFSET = re.compile(r"^ *\[offset *: *([+-]?\d{1,9}) *\] *$", re.IGNORECASE | re.MULTILINE)
_REMEMBERED = 64  # texts; a song's lyrics are read once for each of its windows
# Without any of these, in small letters, and with brackets around whole lines only, nothing in a text is left out.
_NEAR_LEFTOVERS = (
    *(*":：{歌词纯未【［〔〖", "embed", "contributor", "might also like", "liveget", "www."),
    *("ed by ", "lyrics by ", "music by "),
)


@dataclass(frozen=True)
class LyricLine:
    """One sung line; or, with an empty `text`, a section in which nothing is sung (`[solo]`)."""

    text: str
    section: str  # the mark in force, "" before the first one
    lead: tuple[str, ...]  # blank lines and the section mark written directly above
    stamps_sec: tuple[float, ...]  # one for each time the line is sung; empty where it is not timed


@dataclass(frozen=True)
class ParsedLyrics:
    """`removed` are the lines that a person may miss: credits and notices, without their stamps."""

    lines: tuple[LyricLine, ...]
    removed: tuple[str, ...]


def parse_lyrics(lyrics: str) -> tuple[LyricLine, ...]:
    """Read the lines in the order of the file. Stamps are shifted by its `[offset:±ms]` (plus means sooner)."""
    return _parsed(lyrics).lines


def removed_lines(lyrics: str) -> tuple[str, ...]:
    """The credits and notices in a text, which are not learnt and not sung."""
    return _parsed(lyrics).removed if _may_have_leftovers(lyrics) else ()


def _may_have_leftovers(lyrics: str) -> bool:
    """A look at a text that takes a hundredth of the time that reading it does: there may be very many."""
    text = "\n" + _ANY_STAMP.sub("", clean_text(lyrics)).lower() + "\n"
    has_glued_marks = text.count("[") > text.count("\n[") or text.count("]") > text.count("]\n")
    return has_glued_marks or any(word in text for word in _NEAR_LEFTOVERS)


@lru_cache(_REMEMBERED)
def _parsed(lyrics: str) -> ParsedLyrics:
    text = as_lrc(without_chords(clean_text(lyrics)))
    offset = _OFFSET.search(text)
    reader = _Reader(int(offset[1]) / 1000 if offset else 0.0)
    raw_lines = text.split("\n")
    is_timed = any(_LEADING_STAMP.match(line) for line in raw_lines)
    filled = [i for i, line in enumerate(raw_lines) if line and not line.isspace()]
    for i, line in enumerate(raw_lines):
        if not line or line.isspace():
            reader.take_blank()
        elif not _is_metadata(line.strip(), is_timed):
            reader.take(line, is_first=i == filled[0], is_last=i == filled[-1])
    return reader.finish()


def _is_metadata(line: str, is_timed: bool) -> bool:
    if _METADATA.fullmatch(line):
        return True
    tag = _PLAYER_TAG.fullmatch(line) if is_timed else None
    return tag is not None and not names_section(tag[1])


class _Reader:
    """Collects lines under the section mark in force."""

    def __init__(self, offset_sec: float):
        self._offset_sec = offset_sec
        self._lines: list[LyricLine] = []
        self._removed: list[str] = []
        self._lead: list[str] = []
        self._section = ""

    def take(self, raw: str, is_first: bool, is_last: bool) -> None:
        text, stamps_sec = _split_stamps(raw, self._offset_sec)
        if is_leftover(text):
            self._removed.append(text)
            return
        sung = without_page_marks(text, is_first, is_last).strip()
        if sung != text:
            self._removed.append(text.removeprefix(sung).removesuffix(sung))
        pieces = [sung] if section_mark(sung) else split_at_marks(sung)
        if is_first and not stamps_sec and len(pieces) > 1 and not section_mark(pieces[0]):
            self._removed.append(pieces.pop(0))  # the song's title
        for i, piece in enumerate(pieces):
            if mark := section_mark(piece):
                is_alone = i + 1 == len(pieces)
                self._begin_section(mark, stamps_sec if is_alone else ())
            else:
                self._close_line(piece, stamps_sec)

    def take_blank(self) -> None:
        self._lead.append("")

    def finish(self) -> ParsedLyrics:
        if any(self._lead):
            self._close_line("", ())
        return ParsedLyrics(tuple(self._lines), tuple(self._removed))

    def _begin_section(self, mark: str, stamps_sec: tuple[float, ...]) -> None:
        if any(self._lead):
            self._close_line("", ())
        self._section = mark
        self._lead.append(mark)
        if stamps_sec:
            self._close_line("", stamps_sec)

    def _close_line(self, text: str, stamps_sec: tuple[float, ...]) -> None:
        self._lines.append(LyricLine(text, self._section, tuple(self._lead), stamps_sec))
        self._lead.clear()


def _split_stamps(line: str, offset_sec: float) -> tuple[str, tuple[float, ...]]:
    """Return the text without any stamps, and the times of those that open the line; none is before the song."""
    stamps_sec, end = [], 0
    while stamp := _LEADING_STAMP.match(line, end):
        sign, hours, minutes, seconds = stamp.groups()
        at_sec = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
        stamps_sec.append(max((-at_sec if sign else at_sec) - offset_sec, 0.0))
        end = stamp.end()
    if stamps_sec and (singer := _SINGER.match(line, end)):
        end = singer.end()
    text, num_removed = _ANY_STAMP.subn("", line[end:])
    if num_removed:
        text = re.sub(" +", " ", text)
    return text.strip(), tuple(stamps_sec)
