"""A training job that runs while the server is measured."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.studio_process import ROOT

SONGS = sorted((ROOT / "heartmula_studio" / "assets" / "clips" / "style").glob("*.ogg"))[:5]
# Short windows, so that steps are many and small; far more of them than the measurements take.
SETTINGS = {"epochs": 10_000, "max_steps": 10_000, "max_window_sec": 2.0, "state_every_steps": 10_000}
START_SEC = 90


@dataclass(frozen=True)
class Training:
    """A job at work, its dataset and one of its songs."""

    job: str
    dataset: str
    song: str


@contextmanager
def training(client: httpx.Client, data_dir: Path) -> Iterator[Training]:
    """Yield a job that is about to start; afterwards it is cancelled, and its process has ended."""
    dataset = answer(client.post("/training/datasets", json={"name": "Trained on"}))["id"]
    songs = [upload(client, dataset, song) for song in SONGS]
    job = answer(client.post("/training/jobs", json={"dataset_id": dataset, **SETTINGS}))["id"]
    try:
        yield Training(job, dataset, songs[0])
    finally:
        cancel(client, job, data_dir / "jobs" / job / "manifest.json")


def upload(client: httpx.Client, dataset: str, song: Path) -> str:
    """Add a song and return the name it was given."""
    files = {"file": (song.name, song.read_bytes())}
    return answer(client.post(f"/training/datasets/{dataset}/audio", files=files))["filename"]


def wait_for_first_step(client: httpx.Client, job: str) -> None:
    """Raises RuntimeError where the job ends before, or takes over 90 seconds."""
    deadline = time.monotonic() + START_SEC
    while time.monotonic() < deadline:
        seen = answer(client.get(f"/training/jobs/{job}"))
        if seen["step"] > 0:
            return
        if seen["status"] not in ("queued", "running"):
            break
        time.sleep(0.2)
    raise RuntimeError(f"The training job did not begin: {seen['status']}, {seen['message']} {seen['error']}")


def steps_done(client: httpx.Client, job: str) -> int:
    """Raises RuntimeError where the job no longer trains: what was measured meanwhile is worth nothing."""
    seen = answer(client.get(f"/training/jobs/{job}"))
    if seen["status"] != "running":
        raise RuntimeError(f"The training job is {seen['status']}: {seen['error']}")
    return seen["step"]


def cancel(client: httpx.Client, job: str, manifest: Path) -> None:
    """Ask the server to end the job; where it cannot, end its process by its id."""
    worker = json.loads(manifest.read_text(encoding="utf-8"))["worker"]
    try:
        answer(client.post(f"/training/jobs/{job}/cancel", json={"save": False}))
    finally:
        if worker and psutil.pid_exists(worker["pid"]):
            kill(psutil.Process(worker["pid"]), worker["started"])


def kill(process: psutil.Process, started: float) -> None:
    if abs(process.create_time() - started) < 1:  # else it is another one, which got the same id
        for one in [*process.children(recursive=True), process]:
            one.kill()


def answer(response: httpx.Response) -> dict:
    if not response.is_success:
        raise RuntimeError(f"{response.request.method} {response.request.url}: {response.status_code} {response.text}")
    return response.json()
