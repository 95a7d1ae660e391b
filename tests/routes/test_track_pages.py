"""The tracks of a dataset in pages, and edits of one that is large."""

import pytest

from heartmula_studio.store.store import Store
from tests.large_dataset import NUM_TRACKS, add_large_dataset


@pytest.fixture(scope="module")
def path(server) -> str:
    """Of a large dataset."""
    return f"/training/datasets/{add_large_dataset(Store(server.data_dir), 'Large').id}"


def names(answer) -> list[str]:
    return [track["filename"] for track in answer.raise_for_status().json()]


def test_a_dataset_says_how_many_tracks_it_has_and_brings_the_first(client, path):
    dataset = client.get(path).json()
    assert dataset["num_files"] == NUM_TRACKS
    assert len(dataset["audio_files"]) == 500
    assert client.get(f"{path}/validate").json()["num_files"] == NUM_TRACKS


def test_pages_bring_all_tracks(client, path):
    found, cursor = [], ""
    while not found or cursor:
        answer = client.get(f"{path}/tracks?limit=200&cursor={cursor}")
        assert answer.headers["X-Total-Count"] == str(NUM_TRACKS)
        assert answer.headers["X-First-Number"] == str(len(found))
        found += names(answer)
        cursor = answer.headers.get("X-Next-Cursor", "")
    assert found == [f"track {number}.mp3" for number in range(NUM_TRACKS)]


def test_tracks_are_found_and_sorted(client, path):
    found = client.get(f"{path}/tracks", params={"show": "words", "order": "name", "reverse": True})
    assert names(found) == [f"track {number}.mp3" for number in (500, 400, 300, 200, 100, 0)]
    assert names(client.get(f"{path}/tracks", params={"q": "WORDS 499"})) == ["track 499.mp3"]


def test_what_is_edited_is_found_at_once(client, path):
    edits = [{"filename": f"track {number}.mp3", "add_tags": ["edited"]} for number in (3, 450)]
    client.put(f"{path}/tracks", json={"tracks": edits}).raise_for_status()
    assert names(client.get(f"{path}/tracks?q=edited")) == ["track 3.mp3", "track 450.mp3"]


@pytest.mark.parametrize("query", ["show=loud", "order=mood", "limit=0", "limit=1001", "cursor=nonsense"])
def test_what_is_no_page_is_refused(client, path, query):
    answer = client.get(f"{path}/tracks?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["hint"]


def test_tracks_of_no_dataset_are_not_found(client):
    assert client.get("/training/datasets/gone/tracks").status_code == 404
