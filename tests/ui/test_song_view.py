import pytest

from heartmula_studio.services.songs.history import song_title
from heartmula_studio.store.records import Generation
from heartmula_studio.ui.song_view import song_lines

NOW = "2026-01-01T00:00:00+00:00"


def test_a_song_whose_request_was_cut_down_is_shown_all_the_same():
    song = Generation("a", {}, "wav", NOW)
    assert song_title(song) == "Without tags"
    assert song_lines(song, {})[0].endswith("seed ? · Base model")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Base model"),
        ({"checkpoint_id": "a", "strength": 0.5}, "Style Dawn × 0.5"),
        ({"receipt": {"styles": [{"id": "a", "strength": 0.5}, {"id": "c", "strength": 1}]}}, "Dawn × 0.5 + that was "),
        ({"receipt": {"styles": 5}}, "Base model"),
    ],
)
def test_a_song_says_in_which_styles_it_was_made(values, said):
    song = Generation(
        "s", {"tags": "", "lyrics": "", "duration_sec": 3.0}, "wav", "2026-11-25T03:00:00+00:00", **values
    )
    assert said in song_lines(song, {"a": "Dawn", "b": "Night"})[0]
