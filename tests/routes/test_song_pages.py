"""Pages of songs: by a cursor, or from a place on."""

import pytest

from heartmula_studio.store.records import Generation, utc_now
from heartmula_studio.store.store import Store

COUNT = 5
PAGED = {"search": "paged zither", "limit": 2}


@pytest.fixture(scope="module")
def ids(server) -> list[str]:
    """Songs that nobody else looks for, oldest first."""
    songs = Store(server.data_dir, 10**9, 100).generations
    made = []
    for number in range(COUNT):
        request = {"tags": f"paged zither {number}", "lyrics": "", "duration_sec": 1.0, "seed": 1}
        made.append(Generation(songs.new_id(), request, "wav", utc_now(), "cancelled"))
        songs.create(made[-1])
    return [song.id for song in made]


def page(client, **more) -> tuple[list[str], str | None]:
    answer = client.get("/generate", params=PAGED | more)
    assert answer.headers["X-Total-Count"] == str(COUNT)
    return [song["id"] for song in answer.json()], answer.headers.get("X-Next-Cursor")


def test_a_cursor_leads_through_all_songs_as_places_do(client, ids):
    first, cursor = page(client)
    second, further = page(client, cursor=cursor)
    last, none = page(client, cursor=further)
    assert (first + second + last, none) == (ids, None)
    assert [page(client, start=start)[0] for start in (0, 2, 4, 6)] == [first, second, last, []]


def test_a_place_gives_a_cursor_to_go_on_with(client, ids):
    found, cursor = page(client, start=1)
    assert found == ids[1:3]
    assert page(client, cursor=cursor)[0] == ids[3:]


def test_another_order_has_places_alone(client, ids):
    assert page(client, sort="newest", start=1) == (ids[::-1][1:3], None)
    refused = client.get("/generate", params=PAGED | {"start": 1, "cursor": "a~b"})
    assert refused.json()["error"]["code"] == "invalid_input"


def test_without_a_query_all_songs_come_as_with_its_defaults(client, ids):
    plain, asked = client.get("/generate"), client.get("/generate", params={"sort": "oldest", "search": ""})
    assert plain.json() == asked.json()
    assert {song["id"] for song in plain.json()} >= set(ids)
    assert {name: plain.headers[name] for name in ("ETag", "X-Total-Count")} == {
        name: asked.headers[name] for name in ("ETag", "X-Total-Count")
    }
    assert client.get("/generate", headers={"If-None-Match": plain.headers["ETag"]}).status_code == 304
