"""People with tokens of their own, on a real server: whose a song or job is, and how many each may have."""

from collections.abc import Iterator

import httpx
import pytest
from gradio_client import Client

from tests.still_studio import wait_until
from tests.studio_server import Server, running_server

TOKENS = {"": "of-the-studio", "ann": "token-of-ann", "bob": "token-of-bob"}
LONG_SONG = {"tags": "piano", "duration_sec": 240}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    named = ", ".join(f"{name}={token}" for name, token in TOKENS.items() if name)
    variables = {"HEARTMULA_TOKEN": TOKENS[""], "HEARTMULA_USER_TOKENS": named, "HEARTMULA_MAX_SONGS_PER_USER": "2"}
    with running_server(tmp_path_factory.mktemp("users") / "data", **variables) as server:
        yield server


@pytest.fixture
def ask(server) -> Iterator:
    """ask(user, method, path, json) → the answer; songs that are left over stop."""

    def ask(user: str, method: str, path: str, json: dict | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS[user]}"}
        return httpx.request(method, server.url + path, headers=headers, json=json, timeout=60)

    yield ask
    for song in ask("", "GET", "/generate").json():
        if song["status"] in ("queued", "running"):
            ask("", "POST", f"/generate/{song['id']}/cancel")


def test_each_may_have_so_many_songs_under_way_whichever_way_they_are_asked_for(ask, server):
    songs = [ask(user, "POST", "/generate/music", LONG_SONG).json() for user in ("ann", "ann", "bob", "", "", "")]
    assert [song["owner"] for song in songs] == ["ann", "ann", "bob", "", "", ""]
    refused = ask("ann", "POST", "/generate/music", LONG_SONG)
    assert refused.status_code == 429
    assert refused.json()["error"]["message"] == "ann has 2 songs waiting or under way, and asks for 1 more."
    assert ask("bob", "POST", "/generate/takes", LONG_SONG | {"takes": 2}).status_code == 429

    page = Client(server.url, auth=("anyone", TOKENS["bob"]), verbose=False)
    page.submit("piano", "", 240, api_name="/generate")
    wait_until(lambda: [song["owner"] for song in ask("", "GET", "/generate").json()].count("bob") == 2)
    with pytest.raises(Exception, match="Each user may have 2 at a time"):
        page.predict("piano", "", 240, api_name="/generate")

    assert ask("ann", "POST", f"/generate/{songs[0]['id']}/cancel").status_code == 200
    assert ask("ann", "GET", f"/generate/{songs[0]['id']}").json()["queue_position"] is None


def test_a_wrong_token_is_nobodys(server):
    answer = httpx.get(f"{server.url}/generate", headers={"Authorization": "Bearer token-of-cem"})
    assert answer.status_code == 401
    assert "HEARTMULA_USER_TOKENS" in answer.json()["error"]["hint"]
