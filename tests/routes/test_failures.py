"""Every failure has one shape and says what to do."""

import json

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from heartmula_studio.routes.failures import handle_failures
from tests.recordings import SONGS


def failure(answer, status: int, code: str) -> dict:
    """The error of an answer, checked for its shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"code", "message", "hint"}
    assert error["code"] == code
    assert error["message"]
    return error


@pytest.mark.parametrize(
    "path",
    [
        "/training/datasets/nope",
        "/training/datasets/..%2f..%2fetc",
        "/training/datasets/%00",
        "/training/datasets/con",
        "/training/jobs/nope",
        "/training/jobs/nope/events",
        "/training/checkpoints/nope/download",
        "/generate/nope/audio",
        "/training",
        "/training/nothing/here",
        "/training/datasets/",
        "/nonsense",
    ],
)
def test_what_is_not_there(client, path):
    failure(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/training/datasets", "GET, POST"),
        ("DELETE", "/training/jobs", "GET, POST"),
        ("GET", "/generate/music/cancel", "POST"),
        ("POST", "/health", "GET"),
        ("PUT", "/training/jobs/x", "DELETE, GET"),
    ],
)
def test_a_method_that_is_not_offered(client, method, path, allowed):
    """The page, mounted at "/", answered these with its own 404."""
    answer = client.request(method, path)
    failure(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"", ""),
        (b"[]", ""),
        (b"{}", "name"),
        (b'{"name": 3}', "name"),
        (b'{"name": ""}', "name"),
        (b'{"name": "x", "styles": "Pop"}', "styles"),
        (b'{"name": "x", "styles": [1]}', "styles.0"),
        (b'{"name": "x", "stiles": []}', "stiles"),
        (b'{"name": "\\ud800"}', ""),
        (b'{"name": "x", "\\ud800": 1}', ""),
        (b'{"name": NaN}', "name"),
    ],
)
def test_a_body_that_is_not_what_it_should_be(client, body, said):
    answer = client.post("/training/datasets", content=body, headers={"Content-Type": "application/json"})
    assert said in failure(answer, 422, "invalid_input")["message"]


def test_a_body_that_is_no_text(client):
    answer = client.post("/training/datasets", content=b"\xff", headers={"Content-Type": "application/json"})
    failure(answer, 400, "bad_request")


def test_a_body_under_another_content_type_is_not_taken(client):
    """Else a form on any web site could send it without being asked."""
    answer = client.post("/training/datasets", content=b'{"name": "x"}', headers={"Content-Type": "text/plain"})
    failure(answer, 422, "invalid_input")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": "3"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"learning_rate": 1e400}, "learning_rate"),
        ({"lora_rank": -1}, "rank"),
        ({"method": "magic"}, "method"),
        ({"priority": 11}, "priority"),
        ({"base_model": "/etc"}, "base_model"),
        ({"dataset": "../../secret"}, "dataset"),
    ],
)
def test_a_training_setting_that_is_not_allowed(client, full_dataset_id, settings, said):
    # Written by hand: a client refuses to send an infinite number, which 1e400 is when it is read.
    body = json.dumps({"dataset_id": full_dataset_id} | settings).replace("Infinity", "1e400")
    answer = client.post("/training/jobs", content=body, headers={"Content-Type": "application/json"})
    assert said in failure(answer, 422, "invalid_input")["message"]


@pytest.fixture(scope="module")
def full_dataset_id(client) -> str:
    id = client.post("/training/datasets", json={"name": "Five"}).json()["id"]
    for song in SONGS[:5]:
        client.post(f"/training/datasets/{id}/audio", files={"file": (song.name, song.read_bytes())})
    return id


def test_too_few_songs(client, dataset_id):
    for song in SONGS[:3]:
        client.post(f"/training/datasets/{dataset_id}/audio", files={"file": (song.name, song.read_bytes())})
    check = client.get(f"/training/datasets/{dataset_id}/validate").json()
    assert (check["ready"], check["num_files"], check["minimum_files"]) == (False, 3, 5)
    error = failure(client.post("/training/jobs", json={"dataset_id": dataset_id}), 422, "invalid_input")
    assert "3 of 5" in error["message"]
    assert "2 more" in error["hint"]


@pytest.mark.parametrize("header", ["x", "-1", "1e3", str(2**60)])
def test_a_last_event_that_is_none(client, full_dataset_id, header):
    failure(client.get("/training/jobs/x/events", headers={"Last-Event-ID": header}), 422, "invalid_input")


@pytest.mark.parametrize(
    "song",
    [
        {"duration_sec": 0},
        {"duration_sec": 1e9},
        {"seed": -1},
        {"seed": 2**60},
        {"temperature": 0},
        {"topk": 0},
        {"cfg_scale": 0},
        {"format": "exe"},
        {"tags": ["piano"]},
    ],
)
def test_a_song_that_cannot_be_made(client, song):
    before = client.get("/generate").json()
    failure(client.post("/generate/music", json=song), 422, "invalid_input")
    assert client.get("/generate").json() == before


def test_a_fault_of_the_program_says_so_without_its_insides():
    app = FastAPI()
    handle_failures(app)

    @app.get("/fault")
    def fault() -> None:
        raise RuntimeError("a secret of the inside")

    @app.get("/disk")
    def disk() -> None:
        raise OSError(28, "No space left on device", "/secret/place")

    small = TestClient(app, raise_server_exceptions=False)
    assert "secret" not in str(failure(small.get("/fault"), 500, "fault"))
    error = failure(small.get("/disk"), 507, "storage")
    assert "No space left on device" in error["message"]
    assert "secret" not in str(error)


def test_a_press_on_what_a_list_no_longer_holds_is_explained(server):
    """A browser could not read the answer, and said so to a person."""
    press = {"data": [], "fn_index": 10**6, "session_hash": "late"}
    answer = httpx.post(f"{server.url}/gradio_api/queue/join", json=press)
    assert answer.status_code == 400
    assert "press it again" in answer.json()["detail"]
