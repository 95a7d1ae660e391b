"""Lyrics as people keep them: plain text with section marks, LRC with time stamps, or a mixture.

Knows nothing of tokens. What comes out is what the model reads: no stamps, no LRC metadata.

Timing rules:
- a line belongs to the moment its singing starts, so to exactly one window, also if it is still being sung when
  the next window begins: its first words, by which text and sound are matched, are in the earlier one;
- lines without a stamp lie evenly between their timed neighbours (or the song's ends). With no stamps at all, that
  spreads the text over the song, each window getting its share of the lines;
- a section mark sticks to the line below it. A window that opens inside a section repeats that section's mark;
- lines stamped after the end of the recording are not heard in it and are left out.
"""

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heartmula_studio.errors import InvalidInputError, NotFoundError

MAX_LYRICS_BYTES = 1_000_000

_TIME = r"(\d{1,3}):(\d{1,2}(?:[.:,]\d{1,3})?)"
_LEADING_STAMP = re.compile(rf" *\[{_TIME}\]")
_ANY_STAMP = re.compile(rf"\[{_TIME}\]|<{_TIME}>")
# Only the known LRC tags: "[verse 1: both]" is a section mark.
_METADATA = re.compile(r"\[(?:ar|al|ti|au|by|re|ve|la|id|tool|length|offset|#)\s*:.*\]", re.IGNORECASE)
_OFFSET = re.compile(r"^ *\[offset *: *([+-]?\d{1,9}) *\] *$", re.IGNORECASE | re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")  # what no text holds: tab, line and page breaks are left out
_SECTION_MARK = re.compile(r"\[[^\[\]]+\]")


@dataclass(frozen=True)
class LyricLine:
    """One sung line; or, with an empty `text`, a section in which nothing is sung (`[solo]`)."""

    text: str
    section: str  # the mark in force, "" before the first one
    lead: tuple[str, ...]  # blank lines and the section mark written directly above
    stamps_sec: tuple[float, ...]  # one for each time the line is sung; empty where it is not timed


def read_lyrics(path: Path) -> str:
    """Read a lyrics file: UTF-8, UTF-16, or Latin-1 as Windows writes it.

    Raises NotFoundError if there is none, InvalidInputError if it is too large or not text.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_LYRICS_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"Cannot read the lyrics file {path} ({error.strerror}).") from error
    if len(raw) > MAX_LYRICS_BYTES:
        raise InvalidInputError(f"The lyrics file {path} is over {MAX_LYRICS_BYTES:,} bytes.", "Give lyrics only.")
    for encoding in _likely_encodings(raw):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return clean_text(text)
    raise InvalidInputError(f"The lyrics file {path} is not text.", "Save it as plain text in UTF-8.")


def _likely_encodings(raw: bytes) -> Sequence[str]:
    """Those to try, in order. Text that is mostly Latin has a zero in every other byte of UTF-16."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    zeros_even, zeros_odd = raw[::2].count(0), raw[1::2].count(0)
    if max(zeros_even, zeros_odd) > len(raw) / 8:
        return ("utf-16-be" if zeros_even > zeros_odd else "utf-16-le",)
    return ("utf-8-sig", "cp1252", "latin-1")


def clean_text(text: str) -> str:
    """Make all line ends `\\n`; drop byte order marks, control characters and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\ufeff", "")
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def is_timed(lyrics: str) -> bool:
    """Tell whether any line carries an LRC time stamp."""
    return any(line.stamps_sec for line in parse_lyrics(lyrics))


def plain_lyrics(lyrics: str) -> str:
    """Return the whole lyrics as the model reads them. Untimed text stays as it was written."""
    return _render([line for _, line in _scheduled(parse_lyrics(lyrics), song_sec=0.0)])


def lyrics_between(lyrics: str, start_sec: float, end_sec: float, song_sec: float) -> str:
    """Return the lines that start in `[start_sec, end_sec)`, under the section mark in force; "" if none does."""
    schedule = _scheduled(parse_lyrics(lyrics), song_sec)
    return _render([line for at_sec, line in schedule if start_sec <= at_sec < end_sec])


def parse_lyrics(lyrics: str) -> tuple[LyricLine, ...]:
    """Read the lines in the order of the file. Stamps are shifted by its `[offset:±ms]` (plus means sooner)."""
    lyrics = clean_text(lyrics)
    offset = _OFFSET.search(lyrics)
    offset_sec = int(offset[1]) / 1000 if offset else 0.0
    lines: list[LyricLine] = []
    lead: list[str] = []
    section = ""

    def close_line(text: str, stamps_sec: tuple[float, ...]) -> None:
        lines.append(LyricLine(text, section, tuple(lead), stamps_sec))
        lead.clear()

    for raw in lyrics.split("\n"):
        if _METADATA.fullmatch(raw.strip()):
            continue
        text, stamps_sec = _split_stamps(raw, offset_sec)
        if _SECTION_MARK.fullmatch(text):
            if any(lead):
                close_line("", ())
            section = text
            lead.append(text)
            if stamps_sec:
                close_line("", stamps_sec)
        elif text:
            close_line(text, stamps_sec)
        elif not stamps_sec:
            lead.append("")
    if any(lead):
        close_line("", ())
    return tuple(lines)


def _split_stamps(line: str, offset_sec: float) -> tuple[str, tuple[float, ...]]:
    """Return the text without any stamps, and the times of those that open the line."""
    stamps_sec, end = [], 0
    while stamp := _LEADING_STAMP.match(line, end):
        at_sec = int(stamp[1]) * 60 + float(stamp[2].replace(":", ".").replace(",", "."))
        stamps_sec.append(max(at_sec - offset_sec, 0.0))
        end = stamp.end()
    text, num_removed = _ANY_STAMP.subn("", line[end:])
    if num_removed:
        text = re.sub(" +", " ", text)
    return text.strip(), tuple(stamps_sec)


def _scheduled(lines: Sequence[LyricLine], song_sec: float) -> list[tuple[float, LyricLine]]:
    """Return (start in seconds, line) in singing order, a repeated line once for each time it is sung."""
    anchors = [(-0.5, 0.0)]
    anchors += [(i, min(line.stamps_sec)) for i, line in enumerate(lines) if line.stamps_sec]
    anchors += [(len(lines) - 0.5, max(song_sec, anchors[-1][1]))]
    between_sec = np.interp(np.arange(len(lines)), *zip(*anchors, strict=True))
    schedule = [
        (at_sec, line)
        for line, evenly_sec in zip(lines, between_sec.tolist(), strict=True)
        for at_sec in line.stamps_sec or (evenly_sec,)
    ]
    return sorted(schedule, key=lambda entry: entry[0])


def _render(lines: Sequence[LyricLine]) -> str:
    out, section = [], ""
    for line in lines:
        if line.section != section and line.section not in line.lead:
            out.append(line.section)
        out += line.lead
        if line.text:
            out.append(line.text)
        section = line.section
    return "\n".join(out).strip()
