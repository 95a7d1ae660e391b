"""Whole datasets over REST, in and out."""

import io
import json
import zipfile

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.recordings import SONGS
from tests.routes.waiting import wait_for
from tests.studio_server import temporaries

FORMATS = ("folder", "parquet", "webdataset")


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def take(client: httpx.Client, filename: str, content: bytes, **fields: str) -> httpx.Response:
    return client.post("/training/datasets/import", files={"file": (filename, content)}, data=fields)


@pytest.fixture(scope="module")
def taken(client) -> dict:
    metadata = [{"file_name": "a.ogg", "lyrics": "la", "tags": ["p, q"], "rights": "own"}, {"file_name": "gone.ogg"}]
    metadata.append({"file_name": "b.ogg", "ending": "cut_off"})
    lines = "".join(json.dumps(line) + "\n" for line in metadata)
    content = archive(
        {"a.ogg": SONGS[0].read_bytes(), "b.ogg": SONGS[1].read_bytes(), "metadata.jsonl": lines.encode()}
    )
    answer = take(client, "Lagos nights.zip", content, styles="Afrobeat, Highlife")
    assert answer.status_code == 201, answer.text
    return answer.json()


def words(dataset: dict) -> list[tuple]:
    names = ("filename", "sha256", "caption", "tags", "rights", "ending")
    return [tuple(song[name] for name in names) for song in dataset["audio_files"]]


def test_a_zip_becomes_a_dataset_with_a_report(taken, client):
    assert (taken["name"], taken["styles"]) == ("Lagos nights", ["Afrobeat", "Highlife"])
    assert [song["ending"] for song in taken["audio_files"]] == ["as_heard", "cut_off"]
    assert [item["name"] for item in taken["skipped"]] == ["metadata.jsonl, line 2"]
    listed = client.get(f"/training/datasets/{taken['id']}").json()
    assert listed == {name: value for name, value in taken.items() if name != "skipped"}


@pytest.mark.parametrize("format", FORMATS)
def test_what_goes_out_comes_in_again(taken, client, format):
    """The dataset's styles became tags of songs that had none, and whether a song ends was forgotten."""
    path = f"/training/datasets/{taken['id']}"
    answer = client.get(f"{path}/export", params={"format": format})
    assert answer.status_code == 200
    filename = answer.headers["content-disposition"].rpartition("'")[2]
    again = take(client, filename, answer.content, name="Again").json()
    assert again["styles"] == taken["styles"]
    assert words(again) == words(client.get(path).json())
    client.delete(f"/training/datasets/{again['id']}")


def test_what_cannot_be_taken_in_leaves_nothing(client, server):
    before = [dataset["id"] for dataset in client.get("/training/datasets").json()], temporaries(server)
    table = io.BytesIO()
    pq.write_table(pa.table({"path": [str(SONGS[0].absolute()), "../../app.py"]}), table)
    for filename, content, status in (
        ("songs.zip", b"PK\3\4 no more", 422),
        ("songs.zip", archive({"a.ogg": b"no music"}), 415),
        ("songs.zip", archive({"notes.txt": b"x"}), 422),
        ("songs.parquet", table.getvalue(), 422),  # no table of others names a file of this machine
        ("songs.jsonl", b'{"audio": "/etc/hostname"}', 422),
    ):
        answer = take(client, filename, content)
        assert answer.status_code == status, answer.text
        assert str(server.data_dir) not in answer.text
    assert client.post("/training/datasets/import", json={"path": "/etc"}).status_code == 422
    assert ([dataset["id"] for dataset in client.get("/training/datasets").json()], temporaries(server)) == before


def test_an_import_in_the_background_is_asked_for_and_cancelled(client, server):
    content = archive({song.name: song.read_bytes() for song in SONGS[:3]})
    before = temporaries(server)
    answer = client.post("/training/imports", files={"file": ("Nights.zip", content)}, data={"name": "Later"})
    assert answer.status_code == 202, answer.text
    path = f"/training/imports/{answer.json()['id']}"
    task = wait_for(client, path)
    assert (task["status"], task["done"], task["total"], task["progress"]) == ("completed", 3, 3, 100)
    assert client.get(f"/training/datasets/{task['dataset_id']}").json()["name"] == "Later"
    assert task in client.get("/training/imports").json()
    assert client.post(f"{path}/cancel").status_code == 409
    assert client.get("/training/imports/nope").status_code == 404
    client.delete(f"/training/datasets/{task['dataset_id']}")
    stopped = client.post("/training/imports", files={"file": ("Nights.zip", content)}).json()
    if client.post(f"/training/imports/{stopped['id']}/cancel").status_code == 200:
        assert wait_for(client, f"/training/imports/{stopped['id']}")["status"] == "cancelled"
        assert temporaries(server) == before
    failed = client.post("/training/imports", files={"file": ("a.zip", b"PK\3\4 no")}).json()
    error = wait_for(client, f"/training/imports/{failed['id']}")["error"]
    assert (error["code"], "a.zip" in error["message"]) == ("invalid_input", True)
    assert client.post("/training/imports", json={}).status_code == 422
    assert temporaries(server) == before


def test_exports_that_cannot_be(client, dataset_id, taken):
    assert client.get(f"/training/datasets/{dataset_id}/export").status_code == 409
    assert client.get("/training/datasets/nope/export").status_code == 404
    assert client.get(f"/training/datasets/{taken['id']}/export?format=mp3").status_code == 422


def test_a_client_that_goes_away_leaves_nothing(client, server, taken):
    before = temporaries(server)
    with client.stream("GET", f"/training/datasets/{taken['id']}/export") as answer:
        next(answer.iter_raw())
    assert temporaries(server) == before
    assert client.get("/health").status_code == 200
