import math

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest


def test_defaults_are_the_published_sampling_settings():
    request = SongRequest(tags="piano")
    assert (request.temperature, request.topk, request.cfg_scale) == (1.0, 50, 1.5)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("duration_sec", 0.5, "from 1.0 to 600.0"),
        ("duration_sec", 601, "from 1.0 to 600.0"),
        ("duration_sec", math.nan, "from 1.0 to 600.0"),
        ("duration_sec", "60", "from 1.0 to 600.0"),
        ("seed", -1, "from 0 to"),
        ("seed", 1.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("temperature", 0, "from 0.01 to 5.0"),
        ("temperature", math.inf, "from 0.01 to 5.0"),
        ("topk", 0, "a whole number from 1"),
        ("topk", 50.0, "a whole number from 1"),
        ("cfg_scale", 0.9, "from 1.0 to 10.0"),
        ("tags", None, "one string"),
        ("lyrics", ["la"], "one string"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(InvalidInputError) as caught:
        SongRequest(**{"tags": "piano", name: value})
    assert name in caught.value.message
    assert allowed in caught.value.hint
