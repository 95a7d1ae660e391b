"""Finding some of many songs."""

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.songs.history import SongQuery, song_title
from heartmula_studio.store.records import Generation, StyleChoice


def song(number: int, tags: str = "", lyrics: str = "", **values) -> Generation:
    request = {"tags": tags, "lyrics": lyrics, "duration_sec": 9.0}
    return Generation(f"s{number}", request, "wav", f"2026-11-29T12:00:0{number}+00:00", **values)


def made_in(*ids: str) -> dict:
    return {"receipt": {"styles": [{"id": id, "strength": 1} for id in ids]}, "status": "completed"}


SONGS = [
    song(0, "slow, piano", duration_sec=9.0, starred=True, **made_in()),
    song(1, "fast", "[Verse]\nA PIANO in the rain", duration_sec=20.0, **made_in("fado")),
    song(2, title="Žal", duration_sec=3.0, **made_in("fado", "dawn")),
    song(3, "fast, piano", style="fado"),
    song(4, style="mix", styles=(StyleChoice("dawn"),)),
    song(5, lyrics="The first line\nand more", style="base", starred=True),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"search": "piano"}, [0, 1, 3]),
        ({"search": " PIANO fast"}, [1, 3]),
        ({"search": "Z\u030cAL"}, [2]),
        ({"search": "first"}, [5]),
        ({"style": "fado"}, [1, 2, 3]),
        ({"style": "dawn"}, [2, 4]),
        ({"style": "base"}, [0, 5]),
        ({"starred": True}, [0, 5]),
        ({"starred": True, "style": "fado"}, []),
        ({"sort": "newest"}, [5, 4, 3, 2, 1, 0]),
        ({"sort": "longest", "style": "fado"}, [1, 2, 3]),
        ({"sort": "shortest", "search": "piano"}, [3, 0, 1]),
        ({"sort": "title"}, [1, 3, 0, 5, 4, 2]),
    ],
)
def test_songs_are_found_in_order(wanted, ids):
    found, total = SongQuery(**wanted).select(SONGS)
    assert [int(song.id[1:]) for song in found] == ids
    assert total == len(ids)


def test_a_page_of_them_knows_how_many_there_are():
    assert SongQuery(sort="newest", start=4, limit=5).select(SONGS) == ([SONGS[1], SONGS[0]], 6)
    assert SongQuery(start=9, limit=2).select(SONGS) == ([], 6)


def test_what_a_song_is_called():
    assert [song_title(song) for song in SONGS[1:5]] == ["fast", "Žal", "fast, piano", "Without tags"]
    assert song_title(SONGS[5]) == "The first line"


@pytest.mark.parametrize("wrong", [{"sort": "best"}, {"start": -1}, {"limit": 0}, {"search": "a" * 201}])
def test_what_cannot_be_looked_for_is_refused(wrong):
    with pytest.raises(InvalidInputError):
        SongQuery(**wrong)
