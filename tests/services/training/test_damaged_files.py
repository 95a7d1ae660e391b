"""Whatever lies in a job's folder, the list of jobs comes, and the jobs behind it are looked after."""

import os
from dataclasses import replace

import pytest

from heartmula_studio.files.file_lock import is_locked, try_lock
from heartmula_studio.files.regular_file import NotRegularFileError
from heartmula_studio.services.devices import Devices
from heartmula_studio.store.records import Job, utc_now
from heartmula_studio.store.store import Store
from tests.services.studio_folder import new_queue

JOB = Job("a", "d1", "Mine", "lora", 1, 1e-4, 8, "nano", "cpu", {}, utc_now())
LINES = {
    "no event": b'{"step": 1}\n',
    "numbers that are none": b'{"event": "start", "total_steps": "x"}\n{"event": "step", "step": [1], "loss": "x"}\n',
    "negative": b'{"event": "start", "total_steps": -1}\n{"event": "step", "step": -3, "loss": -1, "eta_sec": -1}\n',
    "NaN": b'{"event": "start"}\n{"event": "step", "loss": NaN, "progress": 1e999}\n',
    "nested": b"[" * 100_000 + b"\n",
    "no text": b"\xff\n",
}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "data")


@pytest.mark.parametrize("content", LINES.values(), ids=LINES)
def test_damaged_metrics_spoil_no_list(store, content):
    for id in ("a", "b"):
        store.jobs.create(replace(JOB, id=id, status="running"))
    for name in ("metrics.jsonl", "preprocess.jsonl"):
        (store.jobs.folder("a") / name).write_bytes(content)
    (store.jobs.folder("a") / "dataset").mkdir()
    first = new_queue(store).list()[0]
    assert (first.step, first.loss) == (0, None) or first.step == 1
    assert first.progress == 0


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "preprocess.jsonl", "worker.txt", "worker.json", "failure.json", "songs.json", "logs.txt"]
)
def test_a_pipe_in_a_job_keeps_nobody_waiting(store, name):
    store.jobs.create(replace(JOB, status="running"))
    os.mkfifo(store.jobs.folder("a") / name)
    queue = new_queue(store)
    assert [job.id for job in queue.list()] == ["a"]
    assert queue.logs("a") == ("", 0)
    queue.tick()


def test_jobs_behind_one_that_cannot_be_weighed_up_are_looked_after(store, monkeypatch):
    """One damaged songs.json kept every later job waiting."""
    store.jobs.create(replace(JOB, status="queued", queued_at="2026-01-01"))
    store.jobs.create(replace(JOB, id="b", device="cuda", status="queued", queued_at="2026-01-02"))
    os.mkfifo(store.jobs.folder("a") / "songs.json")
    queue = new_queue(store)
    with Devices(store).wanted("cpu", "2025-01-01"):
        queue.tick()
    assert store.jobs.get("a").status == "failed"


def test_a_pipe_is_not_held(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert not is_locked(tmp_path / "pipe")
    with pytest.raises(NotRegularFileError):
        try_lock(tmp_path / "pipe")
