"""A job outlives kill -9 of the server, then of everything; what is listed afterwards is whole and true."""

import io
import json
import os
import random
import signal
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from heartmula_studio.services.training.processes import MARK
from tests.recordings import SONGS
from tests.studio_server import Server, running_server, temporaries

pytestmark = pytest.mark.long
WAIT_SEC = 240
STEPS = 16
KILLS = 27
OWNERS = ["ann"] * 10 + ["bob"] * 6 + ["cem"] * 4  # of the jobs in the order they are asked for
MOST_AHEAD = 2  # jobs of one owner beyond those of another who waits: one by turns, one that a kill put off
SEED = 3
UNFINISHED = ("queued", "running", "interrupted")


def wait_for(look: Callable[[], dict], is_reached: Callable[[dict], bool], seconds: float = WAIT_SEC) -> dict:
    deadline = time.monotonic() + seconds
    while not is_reached(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def kill(process: psutil.Process) -> None:
    for one in [process, *process.children(recursive=True)]:
        os.kill(one.pid, signal.SIGKILL)


def worker_of(data_dir: Path, job_id: str) -> psutil.Process:
    manifest = data_dir / "jobs" / job_id / "manifest.json"
    job = wait_for(lambda: json.loads(manifest.read_text()), lambda job: job["worker"])
    return psutil.Process(job["worker"]["pid"])


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

    def start_job(self, **more: str) -> str:
        dataset = self.call("POST", "/training/datasets", json={"name": "Mine"})["id"]
        for song in SONGS[:5]:
            self.call("POST", f"/training/datasets/{dataset}/audio", files={"file": (song.name, song.read_bytes())})
        settings = {
            "max_steps": STEPS,
            "epochs": STEPS,
            "max_window_sec": 2.0,
            "state_every_steps": 2,
        }
        return self.call("POST", "/training/jobs", json={"dataset_id": dataset, **settings, **more})["id"]

    def list(self, kind: str) -> list[dict]:
        return self.http.get(f"/training/{kind}").raise_for_status().json()

    def kill_server(self) -> None:
        os.kill(self.server.process.pid, signal.SIGKILL)


def test_a_job_outlives_its_server_and_resumes_after_everything_was_killed(tmp_path):
    data_dir = tmp_path / "data"
    with running_server(data_dir) as server:
        client = Client(server)
        id = client.start_job()
        worker = worker_of(data_dir, id)
        worker.suspend()  # or it could be done before another server has started
        client.kill_server()

    with running_server(data_dir) as server:
        client = Client(server)
        worker.resume()
        job = wait_for(lambda: client.job(id), lambda job: job["step"] >= 3 or job["status"] != "running")
        assert job["status"] == "running"
        client.kill_server()
        kill(worker)

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
        assert len(temporaries(server)) == 1  # the folder for uploads of the server that runs


def test_nothing_is_lost_in_a_series_of_kills_and_owners_take_turns(tmp_path):
    """Servers, workers or both are killed, 27 times, at seeded moments; then all jobs are finished, in a fair order."""
    data_dir, chance, kills = tmp_path / "data", random.Random(SEED), Counter()
    with running_server(data_dir) as server:
        first = Client(server).start_job(owner=OWNERS[0])
        for owner in OWNERS[1:]:
            Client(server).call("POST", f"/training/jobs/{first}/clone", json={"owner": owner})
    while kills.total() < KILLS:
        with running_server(data_dir) as server:
            client, victim = Client(server), "worker"
            while victim == "worker" and kills.total() < KILLS:
                check_all_that_is_listed(client)
                keep_busy(client, first)
                victim = chance.choice(("server", "worker", "both"))
                wait_for_a_moment(client, chance)
                strike(client, victim, chance)
                kills[victim] += 1
                print(dict(kills), flush=True)
    with running_server(data_dir) as server:
        client = Client(server)
        check_all_that_is_listed(client)
        wait_for(lambda: {"jobs": resume_all(client)}, lambda seen: is_over(seen["jobs"]), WAIT_SEC * len(OWNERS))
        check_all_that_is_listed(client)
        jobs = client.list("jobs")
        assert {job["status"] for job in jobs} == {"completed"}
        assert {checkpoint["job_id"] for checkpoint in client.list("checkpoints")} == {job["id"] for job in jobs}
        losses = [losses_of(client, job["id"]) for job in jobs]
        assert [len(of_job) for of_job in losses] == [STEPS] * len(jobs)
        assert losses == [pytest.approx(losses[0], rel=1e-3)] * len(jobs)
        check_turns([job["owner"] for job in sorted(jobs, key=lambda job: job["finished_at"])])
        assert len(temporaries(server)) == 1  # the folder for uploads of the server that runs


def check_turns(owners: list[str]) -> None:
    """Nobody is far ahead of another one who waits; `owners` of all jobs, in the order in which they were finished."""
    for count in range(len(owners)):
        done, waiting = Counter(owners[:count]), set(owners[count:])
        assert max(done.values(), default=0) - min(done[owner] for owner in waiting) <= MOST_AHEAD, owners


def is_unfinished(job: dict) -> bool:
    return job["status"] in UNFINISHED


def workers(data_dir: Path) -> Iterator[psutil.Process]:
    """All processes of the jobs in this data folder, however they came to be."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK, "").startswith(str(data_dir)):
                yield process


def is_settled(client: Client, job: dict) -> bool:
    """Whether what a job says of its process is so."""
    folder = client.server.data_dir / "jobs" / job["id"]
    return job["status"] != "running" or any(workers(folder))


def is_over(jobs: list[dict]) -> bool:
    return not any(map(is_unfinished, jobs))


def resume_all(client: Client) -> list[dict]:
    """Resume what was interrupted, and list all jobs."""
    for job in client.list("jobs"):
        if job["status"] == "interrupted":
            client.call("POST", f"/training/jobs/{job['id']}/resume")
    return client.list("jobs")


def keep_busy(client: Client, first: str) -> None:
    """Leave something to do; where all is done, begin another job."""
    if is_over(resume_all(client)):
        client.call("POST", f"/training/jobs/{first}/clone")


def wait_for_a_moment(client: Client, chance: random.Random) -> None:
    """Half of the kills come anywhere, most of them while processes start; the others between steps or in one."""
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 8))
        return
    step = chance.randrange(1, STEPS)

    def is_reached(seen: dict) -> bool:
        return is_over(seen["jobs"]) or any(job["step"] >= step for job in seen["jobs"] if is_unfinished(job))

    wait_for(lambda: {"jobs": resume_all(client)}, is_reached)
    time.sleep(chance.uniform(0, 0.5))


def strike(client: Client, victim: str, chance: random.Random) -> None:
    """Kill the server, the job's process, or both."""
    if victim != "worker":
        client.kill_server()
    if victim == "server":
        return
    for process in list(workers(client.server.data_dir)):
        with suppress(psutil.Error):
            process.kill()


def folders(path: Path) -> set[str]:
    return {folder.name for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")}


def check_all_that_is_listed(client: Client) -> None:
    """Everything can be read, and says what is so."""
    wait_for(lambda: {"jobs": client.list("jobs")}, lambda seen: all(is_settled(client, j) for j in seen["jobs"]))
    there = {kind: folders(client.server.data_dir / kind) for kind in ("jobs", "checkpoints", "datasets")}
    for kind, ids in there.items():
        assert ids <= {record["id"] for record in client.list(kind)}
    jobs, checkpoints = client.list("jobs"), client.list("checkpoints")
    for job in jobs:
        assert job["status"] in (*UNFINISHED, "completed"), job
        check_job(client, job, {checkpoint["id"] for checkpoint in checkpoints})
    for checkpoint in checkpoints:
        packed = client.http.get(f"/training/checkpoints/{checkpoint['id']}/download").raise_for_status().content
        assert zipfile.ZipFile(io.BytesIO(packed)).testzip() is None
    (dataset,) = client.list("datasets")
    for song in SONGS[:5]:
        played = client.http.get(f"/training/datasets/{dataset['id']}/audio/{song.name}").raise_for_status()
        assert played.content == song.read_bytes()


def check_job(client: Client, job: dict, checkpoint_ids: set[str]) -> None:
    assert client.http.get(f"/training/jobs/{job['id']}/logs").status_code == 200
    measured = len(losses_of(client, job["id"]))
    if job["status"] == "completed":
        assert (job["step"], job["progress"], measured) == (STEPS, 100.0, STEPS)
        assert job["checkpoint_id"] in checkpoint_ids
    if job["status"] == "interrupted":
        assert job["step"] == measured
        assert job["message"], job


def losses_of(client: Client, id: str) -> list[float]:
    """The loss of each step, of which none is missing and none is there twice."""
    steps = [line for line in client.list(f"jobs/{id}/metrics") if line["event"] == "step"]
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    return [line["loss"] for line in steps]
