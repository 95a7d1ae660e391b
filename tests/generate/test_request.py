import math
from dataclasses import replace

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest


def test_defaults_are_the_published_sampling_settings():
    request = SongRequest(tags="piano")
    assert request.duration_sec == 60
    assert (request.sampling_temperature, request.topk, request.guidance) == (1.0, 50, 1.5)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("duration_sec", 0.5, "number between 1 and 600"),
        ("duration_sec", 601, "number between 1 and 600"),
        ("duration_sec", math.nan, "number between 1 and 600"),
        ("duration_sec", "60", "number between 1 and 600"),
        ("seed", -1, "between 0 and"),
        ("seed", 1.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("temperature", 0, "between 0.01 and 5"),
        ("temperature", math.inf, "between 0.01 and 5"),
        ("topk", 0, "a whole number between 1"),
        ("topk", 50.0, "a whole number between 1"),
        ("cfg_scale", 0.9, "between 1 and 10"),
        ("tags", None, "text"),
        ("tags", "a" * 5_001, "at most 5,000 characters"),
        ("lyrics", ["la"], "text"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(InvalidInputError) as caught:
        SongRequest(**{"tags": "piano", name: value})
    assert name in caught.value.message
    assert allowed in caught.value.hint


def test_a_seed_is_drawn_where_none_is_given():
    values = {"tags": "piano", "duration_sec": None, "seed": None}
    first, second = SongRequest.of(values), SongRequest.of(values)
    assert first.seed != second.seed
    assert replace(second, seed=first.seed) == first == SongRequest("piano", seed=first.seed)
