"""Which songs that wait are made side by side."""

import dataclasses

import pytest

from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.songs.batches import MAX_BATCH, batch_of
from heartmula_studio.store.records import Generation, Replay, StyleChoice

REQUEST = SongRequest("arcade", duration_sec=10.0, seed=4)


def song(id, duration_sec=10.0, cfg_scale=1.5, topk=50, **changes):
    request = dataclasses.replace(REQUEST, duration_sec=duration_sec, cfg_scale=cfg_scale, topk=topk)
    return Generation(id, dataclasses.asdict(request), "wav", "2026-01-01T00:00:00+00:00", **changes)


def batch(*waiting):
    return "".join(one.id for one in batch_of(waiting))


def test_songs_that_are_alike_go_together_as_many_as_fit_and_in_order():
    assert batch(*(song(id) for id in "abcdefghij")) == "abcdefgh"[:MAX_BATCH]


def test_the_shortest_comes_first_and_none_longer_than_the_first_in_line_joins():
    assert batch(song("a"), song("b", 3.0), song("c", 12.0), song("d", 10.0)) == "bad"


@pytest.mark.parametrize(
    "other",
    [
        {"cfg_scale": 1.0},
        {"cfg_scale": None},
        {"topk": 20},
        {"style": "base"},
        {"style": "mix", "styles": (StyleChoice("x"),)},
        {"style": "x", "style_strength": 0.5},
        {"decoding": {"decode_steps": 4}},
        {"decoded_from": "z"},
        {"continues": "Night"},
        {"replay": Replay({})},
        {"take_of": "b"},
    ],
)
def test_what_differs_waits_without_holding_up_those_behind_it(other):
    assert batch(song("a"), song("b", **other), song("c")) == "ac"


@pytest.mark.parametrize(("num_free", "expected"), [(1, "abcde"), (2, "abc"), (3, "ab"), (9, "a")])
def test_alike_songs_are_shared_by_the_batches_that_could_begin(num_free, expected):
    assert "".join(one.id for one in batch_of([song(id) for id in "abcde"], num_free)) == expected


def test_takes_are_not_shared():
    assert len(batch_of([song(id, take_of="a") for id in "ab"], 2)) == 2


def test_takes_go_together_and_alone():
    assert batch(song("a", take_of="a"), song("b"), song("c", take_of="a")) == "ac"


def test_what_goes_on_from_another_song_is_made_alone():
    assert batch(song("a", continues="Night"), song("b", continues="Night")) == "a"
