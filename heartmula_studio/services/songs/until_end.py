"""Takes that are made one after the other until one ends by itself. Pure."""

from dataclasses import replace

from heartmula_studio.generate.request import SongRequest, takes_of
from heartmula_studio.store.records import Generation, utc_now


def in_turn(song: Generation, most: int) -> Generation:
    """Return the record of the first take, of `most` at most."""
    return replace(song, take_of=song.id, tried=(song.request["seed"],), takes_left=most - 1)


def next_take(song: Generation, new_id: str) -> Generation | None:
    """Return the take to make after a song that is over; None where it is as wanted, or the last one."""
    if song.status != "completed" or not song.takes_left or is_wanted(song):
        return None
    _, request = takes_of(SongRequest.stored(song.request), 2)
    return Generation(
        new_id,
        song.request | {"seed": request.seed},
        song.format,
        utc_now(),
        style=song.style,
        style_strength=song.style_strength,
        styles=song.styles,
        take_of=song.take_of,
        tried=(*song.tried, request.seed),
        takes_left=song.takes_left - 1,
        owner=song.owner,
    )


def is_wanted(song: Generation) -> bool:
    """Whether a finished take ended by itself, and can be heard."""
    return bool(song.ended and song.audible)


def what_came(song: Generation) -> str:
    """Return a sentence on a finished take of those that are made until one ends; empty for any other song."""
    if not song.tried:
        return ""
    end = "It ended by itself." if song.ended else "It did not end by itself."
    if is_wanted(song):
        return end
    follows = (
        "Another take follows." if song.takes_left else "It was the last take: allow more takes, or a greater length."
    )
    return f"{end} {follows}"
