"""A data folder of its own for each test; no worker outlives it."""

import contextlib
from collections.abc import Iterator

import pytest

from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.processes import processes_of
from heartmula_studio.store.store import Store
from tests.ray_cluster import Cluster, running_cluster
from tests.services.studio_folder import new_queue, song_dataset


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
