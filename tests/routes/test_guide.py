"""The whole life of a song over HTTP: what comes of the six calls of the guide (`trained`), and between them."""

import hashlib
import io
import json
import zipfile

import httpx
import pytest
import soundfile

from heartmula_studio.files.hashing import file_sha256
from tests.routes.waiting import wait_for
from tests.still_studio import NANO


def read_events(client: httpx.Client, path: str, headers: dict[str, str] | None = None) -> list[tuple[int, dict]]:
    """(id, data) of each event until the server ends the stream."""
    with client.stream("GET", path, headers=headers, timeout=120) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        blocks = [block.split("\n") for block in "".join(answer.iter_text()).split("\n\n") if block.startswith("id:")]
    events = [(int(block[0][4:]), json.loads(block[2][6:])) for block in blocks]
    assert [block[1] for block in blocks] == [f"event: {data['event']}" for _, data in events]
    return events


def test_the_job_completes_with_losses(client, trained):
    assert (trained["status"], trained["progress"], trained["epochs"]) == ("completed", 100.0, 3)
    assert trained["loss"] == round(trained["loss"], 4)
    assert trained["total_steps"] == trained["step"] == 15  # five songs, three epochs
    assert trained in client.get("/training/jobs").json()


def test_metrics_logs_and_events_tell_the_same(client, trained):
    path = f"/training/jobs/{trained['id']}"
    metrics = client.get(f"{path}/metrics").json()
    events = read_events(client, f"{path}/events")
    assert [data for _, data in events[:-1]] == metrics
    assert events[-1][1] == {"event": "end", "status": "completed"}
    log = client.get(f"{path}/logs")
    assert "Completed after step 15 of 15" in log.text
    rest = client.get(f"{path}/logs", params={"offset": log.headers["X-Next-Offset"]})
    assert (rest.text, rest.headers["X-Next-Offset"]) == ("", log.headers["X-Next-Offset"])


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_client_that_reconnects_gets_what_it_missed(client, trained, way):
    path = f"/training/jobs/{trained['id']}/events"
    events = read_events(client, path)
    last = str(events[4][0])
    if way == "header":
        assert read_events(client, path, {"Last-Event-ID": last}) == events[5:]
    else:
        assert read_events(client, f"{path}?last_event_id={last}") == events[5:]


def test_the_style_is_activated_and_heard_in_a_song(client, trained):
    checkpoint = next(c for c in client.get("/training/checkpoints").json() if c["id"] == trained["checkpoint_id"])
    assert not checkpoint["is_active"]
    activated = client.post(f"/training/checkpoints/{checkpoint['id']}/activate")
    assert (activated.status_code, activated.json()["is_active"]) == (200, True)
    assert client.get("/health").json()["active_checkpoint"] == checkpoint["id"]
    assert client.delete(f"/training/checkpoints/{checkpoint['id']}").status_code == 409

    asked = client.post("/generate/music", json={"tags": "fast, techno", "duration_sec": 2.0, "seed": 7})
    assert asked.status_code == 202
    song = wait_for(client, f"/generate/{asked.json()['id']}")
    assert (song["status"], song["receipt"]["style"]["id"]) == ("completed", checkpoint["id"])
    audio = client.get(f"/generate/{song['id']}/audio")
    assert audio.headers["Content-Type"] == "audio/wav"
    assert soundfile.info(io.BytesIO(audio.content)).duration == pytest.approx(song["duration_sec"], abs=0.1)

    assert not client.post(f"/training/checkpoints/{checkpoint['id']}/deactivate").json()["is_active"]
    assert client.post(f"/training/checkpoints/{checkpoint['id']}/deactivate").status_code == 409


def test_a_songs_receipt_points_to_what_its_style_stands_on(client, trained, server):
    """Receipt → provenance.json → the hashes of base, adapter and training set."""
    asked = client.post("/generate/music", json={"duration_sec": 1.0, "seed": 7, "style": trained["checkpoint_id"]})
    style = wait_for(client, f"/generate/{asked.json()['id']}")["receipt"]["style"]
    folder = server.data_dir / "checkpoints" / trained["checkpoint_id"]
    assert style["provenance"] == file_sha256(folder / "provenance.json")
    record = client.get(f"/training/checkpoints/{trained['checkpoint_id']}/provenance").json()
    assert record == json.loads((folder / "provenance.json").read_text())
    assert record["adapter_sha256"] == style["sha256"] == file_sha256(folder / "adapter_model.safetensors")
    assert record["base_sha256"] == file_sha256(NANO / "model.safetensors")
    songs = client.get(f"/training/datasets/{trained['dataset_id']}").json()["audio_files"]
    fingerprint = hashlib.sha256("".join(sorted(song["sha256"] for song in songs)).encode()).hexdigest()
    assert (record["training_set"], record["songs"]) == (fingerprint, len(songs))


def test_a_downloaded_style_comes_back_in(client, trained):
    downloaded = client.get(f"/training/checkpoints/{trained['checkpoint_id']}/download")
    assert downloaded.headers["Content-Type"] == "application/zip"
    assert ".zip" in downloaded.headers["Content-Disposition"]
    names = zipfile.ZipFile(io.BytesIO(downloaded.content)).namelist()
    assert any(name.endswith("adapter_model.safetensors") for name in names)
    imported = client.post(
        "/training/checkpoints/import",
        files={"file": ("style.zip", downloaded.content)},
        data={"name": "Again", "styles": "techno, fast"},
    )
    assert imported.status_code == 201
    assert (imported.json()["name"], imported.json()["styles"]) == ("Again", ["techno", "fast"])
    assert client.delete(f"/training/checkpoints/{imported.json()['id']}").status_code == 204


def test_a_job_is_cloned_stopped_and_deleted(client, trained):
    cloned = client.post(f"/training/jobs/{trained['id']}/clone", json={"epochs": 500, "lora_rank": 4})
    assert cloned.status_code == 202
    assert (cloned.json()["epochs"], cloned.json()["lora_rank"]) == (500, 4)
    path = f"/training/jobs/{cloned.json()['id']}"
    assert client.post(f"{path}/cancel", json={"save": False}).status_code == 200
    assert wait_for(client, path)["status"] == "cancelled"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
