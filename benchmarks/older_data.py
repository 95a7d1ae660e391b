"""A data folder that one checkout wrote, opened by the server of another: records, jobs, adapters and songs."""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import soundfile

from benchmarks.likeness import DIFFERENT, SAME, Losses, exactly, up_to_a_step, up_to_rounding
from benchmarks.studio_process import running_studio
from benchmarks.training import answer

SETTINGS = {
    "epochs": 100,
    "max_steps": 40,
    "max_window_sec": 2.0,
    "learning_rate": 1e-3,
    "state_every_steps": 5,
    "seed": 1,
}
SONG = {"tags": "fast, techno", "duration_sec": 4, "seed": 7, "cfg_scale": 1.5, "format": "wav"}
RECORDS = ("/training/datasets", "/training/checkpoints", "/generate")
WAIT_SEC = 600
POLL_SEC = 0.2


@dataclass(frozen=True)
class Written:
    """What the old server left: ids of its jobs, its records, the metrics of the finished job, and a song."""

    finished: str
    stopped: str
    running: str
    records: Mapping[str, Any]
    metrics: list[dict[str, Any]]
    song: bytes


def compare(old: Path, new: Path, data_dir: Path) -> dict[str, str]:
    """Let the checkout `old` fill a data folder, open it with `new`, and tell how each part came through."""
    with talking_to_server(old, data_dir) as client:
        operations, written = rest_operations(client), write(client)
    with talking_to_server(new, data_dir) as client:
        return {
            "REST operations, all of the old": SAME if operations <= rest_operations(client) else DIFFERENT,
            **came_through(client, written),
        }


@contextmanager
def talking_to_server(checkout: Path, data_dir: Path) -> Iterator[httpx.Client]:
    with (
        running_studio(data_dir, checkout) as studio,
        httpx.Client(base_url=studio.url, timeout=WAIT_SEC, trust_env=False) as client,
    ):
        yield client


def write(client: httpx.Client) -> Written:
    """Leave a finished, a stopped and a running job, an active adapter and a song."""
    dataset = answer(client.post("/training/datasets/examples"))["id"]
    finished = ended(client, start(client, dataset))
    answer(client.post(f"/training/checkpoints/{finished['checkpoint_id']}/activate"))
    song = new_song(client)
    stopped = start(client, dataset)
    begun(client, stopped)
    answer(client.post(f"/training/jobs/{stopped}/cancel", json={"save": True}))
    ended(client, stopped)
    running = start(client, dataset)
    begun(client, running)
    records = {path: by_id(client, path) for path in RECORDS}
    return Written(finished["id"], stopped, running, records, metrics(client, finished["id"]), song)


def came_through(client: httpx.Client, written: Written) -> dict[str, str]:
    seen = {path: by_id(client, path) for path in RECORDS}
    found = {f"records of {path}": exactly(seen[path], written.records[path]) for path in RECORDS}
    found["metrics of a finished job"] = exactly(metrics(client, written.finished), written.metrics)
    found["the active adapter makes the same song"] = up_to_a_step(new_song(client), written.song)
    found["a running job is completed"] = exactly(ended(client, written.running)["status"], "completed")
    answer(client.post(f"/training/jobs/{written.stopped}/resume"))
    resumed = ended(client, written.stopped)
    found["a stopped job is resumed"] = exactly(resumed["status"], "completed")
    for what, job in (("running", written.running), ("stopped", written.stopped)):
        found[f"losses of the {what} job"] = up_to_rounding(losses_of(metrics(client, job)), losses_of(written.metrics))
    answer(client.post(f"/training/checkpoints/{resumed['checkpoint_id']}/activate"))
    found["the resumed job's adapter makes the same song"] = up_to_a_step(new_song(client), written.song)
    return found


def by_id(client: httpx.Client, path: str) -> dict[str, Any]:
    """The records of a list. A job that goes on meanwhile adds its own."""
    return {record["id"]: record for record in answer(client.get(path))}


def rest_operations(client: httpx.Client) -> set[tuple[str, str]]:
    """(path, method) of all that the server's OpenAPI document offers."""
    paths = answer(client.get("/openapi.json"))["paths"]
    return {(path, method) for path, methods in paths.items() for method in methods}


def start(client: httpx.Client, dataset: str) -> str:
    return answer(client.post("/training/jobs", json={"dataset_id": dataset, **SETTINGS}))["id"]


def begun(client: httpx.Client, job: str) -> dict[str, Any]:
    """Return a job that has taken a step."""
    return wait_for(client, f"/training/jobs/{job}", lambda seen: seen["step"] > 0)


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    return wait_for(client, f"/training/jobs/{job}", lambda _: False)


def new_song(client: httpx.Client) -> bytes:
    """Make a song and return its samples, of whole windows of the codec: before songs kept codes, all were."""
    id = answer(client.post("/generate/music", json=SONG))["id"]
    wait_for(client, f"/generate/{id}", lambda _: False)
    anew = client.post(f"/generate/{id}/decode", json={"decode_windows": "whole", "decode_guidance": 1.25})
    if anew.status_code != HTTPStatus.NOT_FOUND:
        id = answer(anew)["id"]
        wait_for(client, f"/generate/{id}", lambda _: False)
    sound = client.get(f"/generate/{id}/audio").raise_for_status().content
    return soundfile.read(io.BytesIO(sound), dtype="int16")[0].tobytes()


def wait_for(client: httpx.Client, path: str, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return a job or a song as soon as it is so, or no longer under way. Raises TimeoutError after ten minutes."""
    deadline = time.monotonic() + WAIT_SEC
    while time.monotonic() < deadline:
        seen = answer(client.get(path))
        if is_reached(seen) or seen["status"] not in ("queued", "running"):
            return seen
        time.sleep(POLL_SEC)
    raise TimeoutError(f"{path} is still {seen['status']}: {seen['message']}")


def metrics(client: httpx.Client, job: str) -> list[dict[str, Any]]:
    return answer(client.get(f"/training/jobs/{job}/metrics"))


def losses_of(lines: list[dict[str, Any]]) -> Losses:
    """Each loss by its kind and step. Held-out losses are measured at more steps than once."""
    return {(line["event"], line["step"]): line["loss"] for line in lines if line["event"] in ("step", "eval")}
