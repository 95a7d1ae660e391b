"""Songs are served to players at addresses that nobody else can make up."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from heartmula_studio.errors import NotFoundError
from heartmula_studio.ui.players import Players

SOUND = bytes(range(256)) * 4


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "datasets" / "a b" / 'so"ng & <1>.ogg'
    path.parent.mkdir(parents=True)
    path.write_bytes(SOUND)
    return path


@pytest.fixture
def players(tmp_path) -> Players:
    return Players(tmp_path)


async def stream(song_id: str):
    for part in ("song ", song_id):
        yield part.encode()


@pytest.fixture
def client(players) -> TestClient:
    app = FastAPI()
    players.add_route(app, stream)
    return TestClient(app)


def test_a_song_and_a_part_of_it(players, client, song):
    assert client.get(players.url(song)).content == SOUND
    part = client.get(players.url(song), headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, SOUND[10:20])


def test_a_song_that_is_being_made_streams_to_who_has_its_address(players, client):
    url = players.live_url("a1")
    answer = client.get(url)
    assert (answer.text, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        "song a1", "audio/wav", "no-store",
    )  # fmt: skip
    with pytest.raises(NotFoundError):
        client.get(url.replace("a1", "b2"))


def test_an_address_is_for_one_file(players, song):
    signature = players.url(song).split("/")[1]
    (song.parent / "manifest.json").write_text("{}")
    for name in ("datasets/a b/manifest.json", "../etc/hostname", "/etc/hostname", ""):
        with pytest.raises(NotFoundError):
            players.serve(signature, name)


def test_an_address_of_another_server_is_none(tmp_path, song, players):
    _, signature, _ = Players(tmp_path).url(song).split("/", 2)
    with pytest.raises(NotFoundError):
        players.serve(signature, song.relative_to(tmp_path).as_posix())


def test_a_file_outside_has_no_address(players, tmp_path):
    with pytest.raises(ValueError, match="not in the subpath"):
        players.url(tmp_path.parent / "other.ogg")


def test_a_song_that_is_gone(players, song):
    _, signature, _ = players.url(song).split("/", 2)
    song.unlink()
    with pytest.raises(NotFoundError):
        players.serve(signature, 'datasets/a b/so"ng & <1>.ogg')


def test_a_blind_address_tells_nothing_of_its_file(players, client, song):
    first, second = players.blind_url(song, "test/0/a"), players.blind_url(song, "test/1/b")
    assert client.get(first).content == client.get(second).content == SOUND
    assert first != second
    assert song.stem not in first
    with pytest.raises(NotFoundError):
        players.serve("blind", "never given")
