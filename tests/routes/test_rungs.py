"""Rungs and auditions over HTTP and `gradio_client`: listen, mark, keep, use, and tell from the base blind."""

import io

import pytest
import soundfile
from gradio_client import Client

from heartmula_studio.store.store import Store
from tests.ladders import make_ladder
from tests.routes.test_failures import failure


@pytest.fixture(scope="module")
def job_id(server) -> str:
    return make_ladder(Store(server.data_dir)).id


@pytest.fixture(scope="module")
def rungs(job_id) -> str:
    return f"/training/jobs/{job_id}/rungs"


def test_rungs_are_listed_and_heard(client, rungs):
    ladder = client.get(rungs).json()
    assert [rung["step"] for rung in ladder["rungs"]] == [0, 2, 4, 6]
    assert (ladder["recommended_step"], ladder["is_audible"]) == (4, True)
    assert client.get(f"{rungs}/4").json() == ladder["rungs"][2]
    for step in (0, 4):
        song = client.get(f"{rungs}/{step}/previews/1")
        assert (song.status_code, song.headers["Content-Type"]) == (200, "audio/flac")
        assert soundfile.info(io.BytesIO(song.content)).frames == 4410
    assert client.get(f"{rungs}/4/previews/1", headers={"Range": "bytes=0-3"}).content == b"fLaC"
    for path in (f"{rungs}/3", f"{rungs}/0/previews/2", "/training/jobs/none/rungs"):
        failure(client.get(path), 404, "not_found")
    failure(client.get(f"{rungs}/-1"), 422, "invalid_input")


def test_a_rung_is_marked_kept_activated_and_compared(client, rungs, job_id):
    assert client.post(f"{rungs}/2/star").json()["starred"]
    assert not client.post(f"{rungs}/2/star", json={"starred": False}).json()["starred"]
    kept = client.post(f"{rungs}/4/keep", json={"name": "Mine"})
    assert (kept.status_code, kept.json()["name"], kept.json()["figures"]["is_audible"]) == (201, "Mine", True)
    assert client.get(f"{rungs}/4").json()["checkpoint_id"] == kept.json()["id"] == f"{job_id}-4"
    failure(client.post(f"{rungs}/0/keep"), 404, "not_found")
    # Its record says that it was trained on another base than the server has.
    failure(client.post(f"{rungs}/4/activate"), 422, "checkpoint_mismatch")
    failure(client.post(f"{rungs}/4/compare", json={"tags": "fast"}), 422, "checkpoint_mismatch")


def test_a_download_is_what_an_import_takes(client, rungs):
    archive = client.get(f"{rungs}/6/download")
    assert archive.headers["Content-Type"] == "application/zip"
    files = {"file": ("style.zip", archive.content)}
    answer = client.post("/training/checkpoints/import", files=files, data={"name": "Elsewhere"})
    failure(answer, 422, "checkpoint_mismatch")


def test_an_audition_from_the_first_pair_to_the_result(client, job_id):
    path = f"/training/jobs/{job_id}/auditions"
    started = client.post(path, json={"step": 4, "trials": 2})
    assert (started.status_code, started.json()["result"]) == (201, None)
    audition = f"{path}/{started.json()['id']}"
    sides = {client.get(f"{audition}/trials/0/{side}").content for side in "ab"}
    ladder = f"/training/jobs/{job_id}/rungs"
    assert sides == {client.get(f"{ladder}/{step}/previews/0").content for step in (0, 4)}
    assert client.post(f"{audition}/votes", json={"trial": 0, "choice": "a"}).json()["trials"][0]["choice"] == "a"
    ended = client.post(f"{audition}/votes", json={"trial": 1, "choice": "b"}).json()
    assert ended["result"]["trials"] == 2
    assert client.get(path).json()[-1] == ended == client.get(audition).json()
    failure(client.post(f"{audition}/votes", json={"trial": 0, "choice": "b"}), 409, "conflict")
    failure(client.get(f"{audition}/trials/2/a"), 404, "not_found")
    failure(client.get(f"{audition}/trials/0/c"), 422, "invalid_input")
    failure(client.post(path, json={"step": 4, "trials": 0}), 422, "invalid_input")


def test_the_same_through_gradio_client(server, job_id, tmp_path):
    client = Client(server.url, verbose=False, download_files=tmp_path)
    assert client.predict(job_id, api_name="/list_rungs")["recommended_step"] == 4
    assert client.predict(job_id, 6, api_name="/star_rung")["starred"]
    assert soundfile.info(client.predict(job_id, 0, api_name="/preview_rung")).frames == 4410
    assert client.predict(job_id, 6, "Theirs", api_name="/keep_rung")["name"] == "Theirs"
    assert client.predict(job_id, 6, api_name="/download_rung").endswith(".zip")
    audition = client.predict(job_id, 6, 1, api_name="/start_audition")
    heard = client.predict(job_id, audition["id"], 0, "a", api_name="/audition_audio")
    assert heard.endswith("0-a.flac")
    ended = client.predict(job_id, audition["id"], 0, "a", api_name="/vote")
    assert client.predict(job_id, audition["id"], api_name="/get_audition") == ended
    assert ended in client.predict(job_id, api_name="/list_auditions")
