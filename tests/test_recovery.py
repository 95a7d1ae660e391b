"""A job outlives kill -9 of the server, then of everything; what is listed afterwards is whole and true."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from tests.studio_server import SONGS, Server, running_server

WAIT_SEC = 240
STEPS = 40


def wait_for(look: Callable[[], dict], is_reached: Callable[[dict], bool]) -> dict:
    deadline = time.monotonic() + WAIT_SEC
    while not is_reached(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def kill(process: psutil.Process) -> None:
    for one in [process, *process.children(recursive=True)]:
        os.kill(one.pid, signal.SIGKILL)


class Client:
    """What a person does at one server."""

    def __init__(self, server: Server):
        self.server = server
        self.http = httpx.Client(base_url=server.url, timeout=60)

    def call(self, method: str, path: str, **options) -> dict:
        response = self.http.request(method, path, **options)
        assert response.is_success, response.text
        return response.json()

    def job(self, id: str) -> dict:
        return self.call("GET", f"/training/jobs/{id}")

    def start_job(self) -> str:
        dataset = self.call("POST", "/training/datasets", json={"name": "Mine"})["id"]
        for song in SONGS[:5]:
            self.call("POST", f"/training/datasets/{dataset}/audio", files={"file": (song.name, song.read_bytes())})
        settings = {"max_steps": STEPS, "epochs": STEPS, "max_window_sec": 2.0, "state_every_steps": 2}
        return self.call("POST", "/training/jobs", json={"dataset_id": dataset, **settings})["id"]

    def kill_server(self) -> None:
        os.kill(self.server.process.pid, signal.SIGKILL)


def leftovers(data_dir: Path) -> list[Path]:
    return [path for path in data_dir.rglob(".tmp-*") if ".locks" not in path.parts]


def test_a_job_outlives_its_server_and_resumes_after_everything_was_killed(tmp_path):
    data_dir = tmp_path / "data"
    with running_server(data_dir) as server:
        client = Client(server)
        id = client.start_job()
        wait_for(lambda: client.job(id), lambda job: job["status"] != "queued")
        client.kill_server()

    with running_server(data_dir) as server:
        client = Client(server)
        job = wait_for(lambda: client.job(id), lambda job: job["step"] >= 3 or job["status"] != "running")
        assert job["status"] == "running"
        client.kill_server()
        kill(psutil.Process(job["worker"]["pid"]))

    with running_server(data_dir) as server:
        client = Client(server)
        job = wait_for(lambda: client.job(id), lambda job: job["status"] != "running")
        assert job["status"] == "interrupted", job
        assert "Resume goes on from step" in job["message"]
        client.call("POST", f"/training/jobs/{id}/resume")
        job = wait_for(lambda: client.job(id), lambda job: job["status"] not in ("queued", "running"))
        assert (job["status"], job["step"], job["progress"]) == ("completed", STEPS, 100.0)
        lines = [json.loads(line) for line in (data_dir / "jobs" / id / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, STEPS + 1))
        assert client.call("POST", f"/training/checkpoints/{job['checkpoint_id']}/activate")["is_active"]
        assert leftovers(data_dir) == []
