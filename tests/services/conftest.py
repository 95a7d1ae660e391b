"""A data folder of its own for each test; no worker outlives it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.processes import processes_of
from heartmula_studio.store.store import Store
from tests.ray_cluster import Cluster, running_cluster
from tests.services.studio_folder import new_queue, song_dataset

LETS_GO_AFTER_SEC = 0.4  # longer than `wait_until` takes to look again


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data")
    yield store
    for folder in store.jobs.root.glob("[!.]*"):
        for process in processes_of(JobFolder(folder)):
            with contextlib.suppress(Exception):
                process.kill()


@pytest.fixture
def dataset(store):
    return song_dataset(store)


@pytest.fixture
def queue(store):
    return new_queue(store)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Ray cluster of two nodes, or what tests have left of it: they kill nodes, and add some."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'heartmula-studio[ray]'")
    with running_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def slow_to_let_go(monkeypatch):
    """Locks of what runs in a thread of its own."""
    let_go = FileLock.release

    def release(lock: FileLock, force: bool = False) -> None:
        if Path(lock.lock_file).name.startswith(("task-", "tokenizing-", "pull-")):
            time.sleep(LETS_GO_AFTER_SEC)
        let_go(lock, force)

    monkeypatch.setattr(FileLock, "release", release)
