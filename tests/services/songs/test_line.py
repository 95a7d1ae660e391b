"""Where songs stand in line, and about when their turns come."""

import dataclasses
from datetime import UTC, datetime

import pytest

from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.songs.line import busy_sec, pace_of, placed
from heartmula_studio.store.records import Generation

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(second: int) -> str:
    return f"2026-01-01T11:00:{second:02d}+00:00"


def song(id: str, asked_sec: float = 10.0, **changes) -> Generation:
    request = dataclasses.asdict(SongRequest("arcade", duration_sec=asked_sec, seed=1))
    return Generation(id, request, "wav", at(0), **changes)


def finished(id: str, began: int, ended: int, duration_sec: float) -> Generation:
    times = {"started_at": at(began), "finished_at": at(ended)}
    return song(id, status="completed", duration_sec=duration_sec, **times)


def test_a_turn_comes_after_what_is_left_of_the_songs_before_it():
    line = [song("a", 10.0), song("b", 30.0), song("c")]
    others = [finished("x", 0, 20, 10.0), song("y", 60.0, status="running", progress=75.0)]
    told = list(placed(line, [*line, *others], NOW))
    assert [one.id for one in told] == ["a", "b", "c"]
    assert [one.queue_position for one in told] == [1, 2, 3]
    waits = [(datetime.fromisoformat(one.expected_at) - NOW).total_seconds() for one in told]
    assert waits == [2 * 15, 2 * 25, 2 * 55]


def test_nothing_is_expected_before_a_song_was_finished():
    [told] = placed([song("a")], [song("a"), song("y", status="running")], NOW)
    assert (told.queue_position, told.expected_at) == (1, None)


def test_songs_side_by_side_count_as_one_stretch_of_time():
    assert pace_of([finished("x", 0, 20, 10.0), finished("y", 0, 20, 10.0)]) == pytest.approx(1.0)


def test_the_pace_is_that_of_the_last_eight():
    slow = [finished(str(n), n, n + 1, 0.1) for n in range(10)]
    fast = [finished(f"fast{n}", 20 + n, 21 + n, 10.0) for n in range(8)]
    assert pace_of([*fast, *slow]) == pytest.approx(0.1)


def test_stretches_of_time_that_overlap_count_once():
    assert busy_sec([(at(10), at(20)), (at(0), at(5)), (at(15), at(30)), (at(16), at(17))]) == 5 + 20
    assert busy_sec([]) == 0
