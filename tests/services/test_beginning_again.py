"""Whoever sees that something has ended may begin it again, though it takes a moment to let go of its lock."""

import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import FileLock

from heartmula_studio.errors import ConflictError
from heartmula_studio.services.tasks import Tasks
from heartmula_studio.store.task_views import Task
from tests.still_studio import filled, settings_for, still_studio, wait_until

LETS_GO_AFTER_SEC = 0.4  # longer than `wait_until` takes to look again


@pytest.fixture
def slow_to_let_go(monkeypatch):
    """Locks of what runs in a thread of its own."""
    let_go = FileLock.release

    def release(lock: FileLock, force: bool = False) -> None:
        if Path(lock.lock_file).name.startswith(("task-", "tokenizing-")):
            time.sleep(LETS_GO_AFTER_SEC)
        let_go(lock, force)

    monkeypatch.setattr(FileLock, "release", release)


def test_a_task_that_has_ended_is_begun_again(store, slow_to_let_go):
    tasks: Tasks[Task] = Tasks(store, threading.Event(), "It is busy.")
    for _ in range(2):
        tasks.start(lambda: tasks.running("task-a", Task()), lambda task: None)
        wait_until(lambda: tasks.find("task-a").status == "completed")
    tasks.close()


def test_a_dataset_that_is_tokenized_is_tokenized_again(tmp_path, slow_to_let_go):
    studio = still_studio(settings_for(tmp_path / "data"))
    dataset = filled(studio, 1)
    for _ in range(2):
        studio.datasets.preprocess(dataset.id)
        wait_until(lambda: studio.datasets.get(dataset.id).status != "processing")


def test_what_goes_on_is_refused(store):
    tasks: Tasks[Task] = Tasks(store, threading.Event(), "It is busy.")
    go_on = threading.Event()
    tasks.start(lambda: tasks.running("task-a", Task()), lambda task: go_on.wait())
    with pytest.raises(ConflictError, match="It is busy"):
        tasks.start(lambda: tasks.running("task-a", Task()), nullcontext)
    go_on.set()
    tasks.close()
