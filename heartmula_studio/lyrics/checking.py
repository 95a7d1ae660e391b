"""Lyrics as they are taken in, whoever gives them: cleaned, of a bearable length, and of a kind that can be read."""

import json
import re

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.text import clean_text
from heartmula_studio.lyrics.formats import unclear_stamp
from heartmula_studio.lyrics.ttml import is_ttml, ttml_as_lrc

LYRICS_SUFFIXES = (".lrc", ".ttml", ".srt", ".vtt", ".sbv", ".txt")
MAX_LYRICS_CHARS = 100_000
KINDS = "Give plain text, LRC, TTML, SRT, WebVTT or SBV."

_UNREADABLE = (
    ("a web page", re.compile(r"\A\s*(<!doctype html|<html[\s>])", re.IGNORECASE)),
    ("XML", re.compile(r"\A\s*<\?xml\s")),
    ("SAMI", re.compile(r"\A\s*<sami>", re.IGNORECASE)),
    ("RTF", re.compile(r"\A\s*\{\\rtf")),
    (
        "SubStation Alpha (ASS)",
        re.compile(
            r"^(?:\[Script Info\]|\[V4\+? Styles\]|Dialogue: *(?:Marked=)?\d+,\d+:\d\d:\d\d\.\d+,)", re.I | re.M
        ),
    ),
    ("UltraStar", re.compile(r"^(?:#(?:BPM|GAP|MP3|TITLE): *\S.*|[:*FRG] -?\d+ \d+ -?\d+ .*)$", re.MULTILINE)),
    ("MicroDVD", re.compile(r"^\{\d+\}\{\d*\}", re.MULTILINE)),
    ("MPL2", re.compile(r"^\[\d+\]\[\d*\]", re.MULTILINE)),
    ("SubViewer", re.compile(r"\A\s*\[INFORMATION\]", re.IGNORECASE)),
    ("an encrypted QRC file", re.compile(r"\A\s*[0-9A-F]{64,}\s*\Z")),
)


def require_readable(text: str) -> None:
    """Raise InvalidInputError for lyrics that are too long, or of a kind that would be learnt with its marks."""
    if len(text) > MAX_LYRICS_CHARS:
        raise InvalidInputError(
            f"The lyrics have {len(text):,} characters.", f"Give at most {MAX_LYRICS_CHARS:,}: the words of one song."
        )
    for kind, pattern in _UNREADABLE:
        if pattern.search(text):
            raise InvalidInputError(f"The lyrics are {kind}, which is not supported.", KINDS)
    if _is_json(text):
        raise InvalidInputError("The lyrics are JSON, which is not supported.", KINDS)
    if stamp := unclear_stamp(text):
        raise InvalidInputError(
            f"The stamp {stamp} may be hours, minutes and seconds, or minutes, seconds and hundredths.",
            "Write stamps as [mm:ss.xx].",
        )


def checked_lyrics(text: str) -> str:
    """Return cleaned lyrics, those in TTML as LRC. Raises as `require_readable` and `ttml_as_lrc`."""
    text = clean_text(text)
    if is_ttml(text):
        text = ttml_as_lrc(text)
    require_readable(text)
    return text


def _is_json(text: str) -> bool:
    """Whether all of it is: NetEase puts single lines of JSON above its LRC."""
    if not text.lstrip().startswith(("{", "[{")):
        return False
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True
