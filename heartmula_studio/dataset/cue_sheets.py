"""Cue sheets: where the songs of an album lie in its one recording."""

import re
from dataclasses import dataclass

from heartmula_studio.errors import InvalidInputError

FRAMES_PER_SEC = 75  # of a CD, in which cue sheets count
HINT = "Correct the cue sheet, or take it out of the folder to keep the recording whole."

_LINE = re.compile(r'\s*(FILE|TRACK|TITLE|INDEX|REM GENRE)\s+(?:"([^"]*)"|(\S+))(?:\s+(\S+))?.*', re.IGNORECASE)
_TIME = re.compile(r"(\d{1,3}):([0-5]?\d):([0-7]?\d)")


@dataclass(frozen=True)
class CueTrack:
    """A song: when it begins in the recording, and what it is called, "" where nobody says so."""

    start_sec: float
    title: str


@dataclass(frozen=True)
class CueSheet:
    """`recording` is the file that all tracks lie in, as the sheet calls it."""

    recording: str
    genre: str
    tracks: tuple[CueTrack, ...]


def parse_cue(text: str) -> CueSheet:
    """Read a cue sheet; a song begins at its INDEX 01, not at the pause before it.

    Raises InvalidInputError without tracks, for several recordings, and for times that are none or do not go forwards.
    """
    files, genre, titles, starts_sec = [], "", [], []
    for line in text.splitlines():
        if not (found := _LINE.fullmatch(line)):
            continue
        word, value, second = found[1].upper(), found[2] if found[2] is not None else found[3], found[4] or ""
        if word == "FILE":
            files.append(value)
        elif word == "REM GENRE":
            genre = value
        elif word == "TRACK":
            titles.append("")
        elif word == "TITLE" and titles:
            titles[-1] = value
        elif word == "INDEX" and value.isdecimal() and int(value) == 1:
            starts_sec.append(_seconds(second))
    if len(files) != 1:
        raise InvalidInputError(
            f"It names {len(files)} recordings.", "Only a cue sheet for a single recording can be cut."
        )
    if not titles or len(titles) != len(starts_sec) or starts_sec != sorted(set(starts_sec)):
        raise InvalidInputError("It does not say where each track begins, in order.", HINT)
    return CueSheet(files[0], genre, tuple(map(CueTrack, starts_sec, titles)))


def _seconds(time: str) -> float:
    found = _TIME.fullmatch(time)
    if not found or int(found[3]) >= FRAMES_PER_SEC:
        raise InvalidInputError(
            f"{time!r} is not a time.", "Times are minutes:seconds:frames, with 75 frames a second."
        )
    return 60 * int(found[1]) + int(found[2]) + int(found[3]) / FRAMES_PER_SEC
