"""Timed lyrics of a recording whose beginning was cut off, or came back."""

import re

from heartmula_studio.files.text import clean_text
from heartmula_studio.lyrics.formats import as_lrc
from heartmula_studio.lyrics.parsing import parse_lyrics

_STAMP = re.compile(r"([\[<])(-?)(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:[.,]\d{1,3})?)([\]>])")


def moved_lyrics(lyrics: str, by_sec: float) -> str:
    """Return lyrics with every time later by `by_sec`, none of them before the beginning; LRC where they were of
    another kind. Lyrics without times stay as they are."""
    if not by_sec or not any(line.stamps_sec for line in parse_lyrics(lyrics)):
        return lyrics
    return _STAMP.sub(lambda match: _moved(match, by_sec), as_lrc(clean_text(lyrics)))


def _moved(match: re.Match[str], by_sec: float) -> str:
    opening, sign, hours, minutes, seconds, closing = match.groups()
    at_sec = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    digits = max(2, len(seconds.replace(",", ".").partition(".")[2]))
    ticks = max(0, round(((-at_sec if sign else at_sec) + by_sec) * 10**digits))
    whole_minutes, rest = divmod(ticks, 60 * 10**digits)
    return f"{opening}{whole_minutes:02d}:{rest / 10**digits:0{digits + 3}.{digits}f}{closing}"
