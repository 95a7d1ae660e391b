"""How the record of a song changes from the request to the end. Pure."""

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING

from heartmula_studio.errors import StudioError
from heartmula_studio.services.songs.until_end import what_came
from heartmula_studio.store.records import Failure, Generation, Replay, utc_now

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.receipt import Receipt
    from heartmula_studio.generate.song_writer import GeneratedSong


def failure_of(error: Exception) -> Failure:
    if isinstance(error, StudioError):
        return Failure(error.code, error.message, error.hint)
    return Failure("studio", f"{type(error).__name__}: {error}", "This is a bug in the program.")


def with_message(message: str, song: Generation) -> Generation:
    return replace(song, message=message)


def with_place(place: Generation, song: Generation) -> Generation:
    """The record of a song that waits, with the place in line that another version of it has."""
    if song.status != "queued":
        return song
    return replace(song, queue_position=place.queue_position, expected_at=place.expected_at)


def in_line_again(song: Generation) -> Generation:
    return replace(song, status="queued", progress=0.0, message="")


def begun(song: Generation) -> Generation:
    """The record of a song whose turn it is, unless it was cancelled."""
    if song.status != "queued":
        return song
    song = replace(song, queue_position=None, expected_at=None)
    return replace(song, status="running", started_at=utc_now(), message="Loading the model.")


def completed(song: Generation, made: "GeneratedSong") -> Generation:
    style = made.receipt.style
    song = replace(song, audible=made.is_audible, ended=made.receipt.ended)
    return replace(
        song,
        status="completed",
        progress=100.0,
        message=" ".join(filter(None, [made.note, what_came(song)])),
        duration_sec=made.receipt.duration_sec,
        checkpoint_id=None if style is None else style.id,
        strength=None if style is None else style.strength,
        receipt=dataclasses.asdict(made.receipt),
        replay=song.replay and compared(song.replay, made.receipt),
        finished_at=utc_now(),
    )


def compared(replay: Replay, receipt: "Receipt") -> Replay:
    """Say whether a song that was made again is the same."""
    from heartmula_studio.generate.receipt import Receipt
    from heartmula_studio.generate.replay import compare

    result = compare(Receipt.from_dict(replay.of), receipt)
    return replace(replay, is_same=result.is_same, said=result.sentence)


def cancelled(song: Generation) -> Generation:
    song = replace(song, queue_position=None, expected_at=None)
    return replace(song, status="cancelled", message="Cancelled.", finished_at=utc_now())


def failed(song: Generation, failure: Failure) -> Generation:
    return replace(song, status="failed", message=failure.message, error=failure, finished_at=utc_now())
