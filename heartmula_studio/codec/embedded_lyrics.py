"""Lyrics inside audio files: ID3 (USLT, and SYLT with times), Vorbis comments, MP4 and APEv2."""

import logging
from collections.abc import Sequence
from pathlib import Path

import mutagen
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.id3 import ID3, Encoding

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.lyrics.checking import checked_lyrics
from heartmula_studio.lyrics.decoding import decode_lyrics
from heartmula_studio.lyrics.formats import stamp

_KEYS = (
    *("syncedlyrics", "lyrics", "unsyncedlyrics", "unsynced lyrics", "\xa9lyr", "----:com.apple.itunes:lyrics"),
    *("wm/lyrics_synchronised", "wm/lyrics"),
)
_MILLISECONDS, _IS_LYRICS = 2, 1  # of SYLT's time stamp formats and content types
_log = logging.getLogger(__name__)


def embedded_lyrics(path: Path) -> str:
    """The lyrics in a file's tags, those with times first; "" where there are none that can be read."""
    try:
        return checked_lyrics(_found_in(path)).strip()
    except (mutagen.MutagenError, InvalidInputError, ValueError, LookupError) as error:
        _log.warning("The lyrics inside %s are left out: %s", path.name, error)
        return ""


def _found_in(path: Path) -> str:
    file = mutagen.File(path)
    tags = file.tags if file is not None else None
    found = _synchronised(tags) or _unsynchronised(tags) if isinstance(tags, ID3) else _named(tags or {})
    return found or _named(_ape_tags(path))


def _ape_tags(path: Path) -> "APEv2 | dict[str, str]":
    try:
        return APEv2(path)
    except APENoHeaderError:
        return {}


def _named(tags: object) -> str:
    by_key = {str(key).lower(): value for key, value in dict(tags).items()}  # type: ignore[call-overload]  # any kind
    value = next((by_key[key] for key in _KEYS if by_key.get(key)), "")
    parts = value if isinstance(value, list) else [value]
    return "\n".join(part.decode() if isinstance(part, bytes) else str(part) for part in parts)


def _unsynchronised(tags: ID3) -> str:
    return max((_text(frame.encoding, frame.text) for frame in tags.getall("USLT")), key=len, default="")


def _synchronised(tags: ID3) -> str:
    """LRC of the longest SYLT frame in milliseconds. Words that no line break separates are one line."""
    frames = [f for f in tags.getall("SYLT") if f.format == _MILLISECONDS and f.type == _IS_LYRICS and f.text]
    if not frames:
        return ""
    frame = max(frames, key=lambda frame: len(frame.text))
    entries = [(_text(frame.encoding, text), at_ms) for text, at_ms in frame.text]
    has_breaks = any("\n" in text for text, _ in entries)
    return "\n".join(_lines(entries) if has_breaks else (stamp(at / 1000) + text.strip() for text, at in entries))


def _lines(entries: Sequence[tuple[str, int]]) -> list[str]:
    """A break stands before the first word of a line, or behind the last."""
    lines: list[str] = []
    is_new = True
    for text, at_ms in entries:
        for number, piece in enumerate(text.replace("\r", "").split("\n")):
            is_new = is_new or number > 0
            if piece.strip() and is_new:
                lines.append(stamp(at_ms / 1000) + piece.lstrip())
                is_new = False
            elif piece.strip():
                lines[-1] += piece
    return lines


def _text(encoding: int, text: str) -> str:
    """Frames that call themselves Latin often hold a national encoding. Raises InvalidInputError for one not told."""
    is_doubtful = encoding == Encoding.LATIN1 and not text.isascii()
    return decode_lyrics(text.encode("latin-1")).text if is_doubtful else text
