"""The songs made so far: what they are called, and finding some of many. Nothing here touches the disk."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition, settings_of
from heartmula_studio.generate.request import title_of
from heartmula_studio.store.names import name_key
from heartmula_studio.store.records import BASE_STYLE, Generation

UNTITLED = "Without tags"
MAX_SEARCH_CHARS = 200
Order = Literal["oldest", "newest", "title", "longest", "shortest"]


@dataclass(frozen=True)
class SongQuery(Definition):
    """Which songs to list, in which order.

    Raises InvalidInputError when a value is outside what is allowed.
    """

    search: Annotated[
        str,
        Field(
            max_length=MAX_SEARCH_CHARS,
            description="Words in title, tags or lyrics, in any order.",
            examples=["slow piano"],
        ),
    ] = ""
    style: Annotated[
        str,
        Field(
            max_length=64,
            description='Only songs in a style, by its id, or in none ("base").',
            examples=["base"],
        ),
    ] = ""
    starred: Annotated[bool, Field(description="Only songs with a star.", examples=[False])] = False
    sort: Annotated[
        Order, Field(description="Which songs come first; of equal titles, the older.", examples=["newest"])
    ] = "oldest"
    start: Annotated[int, Field(ge=0, description="Skip this many songs at the beginning.", examples=[0])] = 0
    limit: Annotated[int | None, Field(ge=1, description="List at most this many songs.", examples=[50])] = None

    def select(self, songs: Iterable[Generation]) -> tuple[list[Generation], int]:
        """Return those of `songs`, which come oldest first, that are to be listed, and how many there are in all."""
        found = self.find(songs)
        end = None if self.limit is None else self.start + self.limit
        return found[self.start : end], len(found)

    def find(self, songs: Iterable[Generation]) -> list[Generation]:
        """Return all of `songs`, which come oldest first, that fit, in the wanted order."""
        words = name_key(self.search).split()
        key, is_reversed = ORDERS[self.sort]
        return sorted((song for song in songs if self._fits(song, words)), key=key, reverse=is_reversed)

    def _fits(self, song: Generation, words: Sequence[str]) -> bool:
        if self.starred and not song.starred:
            return False
        if self.style and self.style not in (style_ids(song) or [BASE_STYLE]):
            return False
        text = name_key("\n".join([song_title(song), _text(song, "tags"), _text(song, "lyrics")])) if words else ""
        return all(word in text for word in words)


QUERY = settings_of(SongQuery)
ORDERS: dict[Order, tuple[Callable[[Generation], Any], bool]] = {
    "oldest": (lambda song: song.created_at, False),
    "newest": (lambda song: song.created_at, True),
    "title": (lambda song: name_key(song_title(song)), False),
    "longest": (lambda song: song.duration_sec or 0.0, True),
    "shortest": (lambda song: song.duration_sec or 0.0, False),
}


def song_title(song: Generation) -> str:
    """Return what a song is called: as a person named it, else its tags, or how its lyrics begin."""
    return song.title or title_of(_text(song, "tags"), _text(song, "lyrics")) or UNTITLED


def styles_of(song: Generation) -> list[tuple[str, float]]:
    """Return the styles that a song was made in, by its receipt; those of earlier releases name one."""
    listed = (song.receipt or {}).get("styles")
    listed = listed if isinstance(listed, list) else []
    styles = [(style.get("id"), style.get("strength")) for style in listed if isinstance(style, dict)]
    return [
        (id, strength)
        for id, strength in styles or [(song.checkpoint_id, song.strength)]
        if isinstance(id, str) and isinstance(strength, int | float)
    ]


def style_ids(song: Generation) -> list[str]:
    """Return the styles of a song, those that were asked for as long as it is not made; none for the base alone."""
    return [id for id, _ in styles_of(song)] if song.receipt else [choice.id for choice in song.styles] or [song.style]


def _text(song: Generation, name: str) -> str:
    """A text of the request; a record of an earlier release may lack it."""
    return str(song.request.get(name, ""))
