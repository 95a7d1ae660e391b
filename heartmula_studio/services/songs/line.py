"""The line of songs that wait: which place each has, and about when its turn comes. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from heartmula_studio.store.records import Generation

NUM_TIMED = 8  # finished songs that tell how fast songs are made


def placed(line: Sequence[Generation], all_songs: Iterable[Generation], now: datetime) -> Iterator[Generation]:
    """Yield the songs of a line, in their order, each with its place and the time at which its turn is expected.

    Songs that are being made come before; nothing is expected where no song was finished yet. `now` is in UTC.
    """
    songs = list(all_songs)
    pace = pace_of(songs)
    ahead_sec = sum(left_sec(song) for song in songs if song.status == "running")
    for place, song in enumerate(line, start=1):
        expected = (now + timedelta(seconds=ahead_sec * pace)).isoformat(timespec="seconds") if pace else None
        yield replace(song, queue_position=place, expected_at=expected)
        ahead_sec += left_sec(song)


def left_sec(song: Generation) -> float:
    """Return how many seconds of a song are still to be made, at most."""
    seconds: float = song.request["duration_sec"] * (1 - song.progress / 100)
    return seconds


def pace_of(songs: Iterable[Generation]) -> float | None:
    """Return how many seconds a second of song takes, by those finished last; None where none is.

    Songs that were made side by side count as one stretch of time.
    """
    timed = [
        (song.finished_at, song.started_at, song.duration_sec)
        for song in songs
        if song.finished_at and song.started_at and song.duration_sec
    ]
    last = sorted(timed)[-NUM_TIMED:]
    made_sec = sum(duration_sec for _, _, duration_sec in last)
    return busy_sec((began, ended) for ended, began, _ in last) / made_sec if last else None


def busy_sec(stretches: Iterable[tuple[str, str]]) -> float:
    """Return how long at least one of several stretches of time lasted, given from and to in UTC."""
    total, until = timedelta(), datetime.min.replace(tzinfo=UTC)
    for began, ended in sorted((datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in stretches):
        total += max(timedelta(), ended - max(began, until))
        until = max(until, ended)
    return total.total_seconds()
