"""A page of a dataset's tracks: those that are looked for, in an order. Nothing here touches the disk."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.store.names import REMEMBERED_NAMES, name_key
from heartmula_studio.store.records import AudioFile, Dataset

TrackKind = Literal["all", "words", "tags", "rights", "proposals", "errors"]
TrackOrder = Literal["added", "name", "length", "lyrics", "tags", "rights"]

SEPARATOR = "~"  # between the number of a page's last track and its name in base 64, in a cursor
DIGITS = 12  # numbers in names sort as numbers
_NUMBER = re.compile(r"\d+")


@lru_cache(REMEMBERED_NAMES)
def _sorted_as(name: str) -> str:
    return _NUMBER.sub(lambda number: number[0].zfill(DIGITS), name_key(name))


KINDS: dict[TrackKind, Callable[[AudioFile], bool]] = {
    "all": lambda track: True,
    "words": lambda track: not track.caption.strip(),
    "tags": lambda track: not track.tags,
    "rights": lambda track: track.rights == "unknown",
    "proposals": lambda track: any(proposal.status == "open" for proposal in track.proposals),
    "errors": lambda track: track.error is not None,
}
"""Which tracks a page shows: those without lyrics (`words`), tags, stated rights; with open proposals, with errors."""

ORDERS: dict[TrackOrder, Callable[[AudioFile], Any]] = {
    "name": lambda track: _sorted_as(track.filename),
    "length": lambda track: track.duration_sec,
    "lyrics": lambda track: track.caption.lower(),
    "tags": lambda track: ", ".join(track.tags).lower(),
    "rights": lambda track: track.rights,
}


@dataclass(frozen=True)
class TrackFilter:
    """All words of `text` are looked for, in any case, in a track's name, tags and lyrics.

    Raises InvalidInputError for another kind or order.
    """

    text: str = ""
    kind: TrackKind = "all"
    order: TrackOrder = "added"
    is_reversed: bool = False

    def __post_init__(self) -> None:
        for value, known in ((self.kind, get_args(TrackKind)), (self.order, get_args(TrackOrder))):
            if value not in known:
                raise InvalidInputError(f"{value!r} is none of these.", f"Allowed: {', '.join(known)}.")


@dataclass(frozen=True)
class TrackPage:
    """Some of `num_found` tracks, from number `start` on; `cursor` leads to the next page, "" from the last one."""

    tracks: Sequence[AudioFile]
    start: int
    num_found: int
    cursor: str


def found_tracks(dataset: Dataset, wanted: TrackFilter) -> Sequence[AudioFile]:
    """Return all tracks that are looked for, in the order that is asked for."""
    words, is_kind = wanted.text.lower().split(), KINDS[wanted.kind]
    tracks: Sequence[AudioFile] = dataset.audio_files
    if words or wanted.kind != "all":
        tracks = [track for track in tracks if is_kind(track) and all(word in track.words for word in words)]
    if wanted.order != "added":
        tracks = sorted(tracks, key=ORDERS[wanted.order])
    return tracks[::-1] if wanted.is_reversed else tracks


def page_of(tracks: Sequence[AudioFile], limit: int, cursor: str) -> TrackPage:
    """Return the page behind a cursor. Raises InvalidInputError for what is none.

    Where tracks came or went before it, it goes on behind the track that it names, else where that one was.
    """
    start = _start(tracks, cursor) if cursor else 0
    page, end = tracks[start : start + limit], start + limit
    following = f"{end}{SEPARATOR}{_coded(page[-1].filename)}" if end < len(tracks) else ""
    return TrackPage(page, start, len(tracks), following)


def _start(tracks: Sequence[AudioFile], cursor: str) -> int:
    number, separator, name = cursor.partition(SEPARATOR)
    if not (separator and number.isascii() and number.isdigit() and len(number) < DIGITS):
        raise InvalidInputError("This is not a cursor.", "Send the one that came with the page before.")
    start = int(number)
    if 0 < start <= len(tracks) and _coded(tracks[start - 1].filename) == name:
        return start
    return next((place + 1 for place, track in enumerate(tracks) if _coded(track.filename) == name), start)


def _coded(filename: str) -> str:
    """Write a name in letters that stand for themselves in headers and addresses."""
    return urlsafe_b64encode(filename.encode("utf-8", "replace")).decode().rstrip("=")
