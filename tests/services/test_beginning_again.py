"""Whoever sees that something has ended may begin it again, though it takes a moment to let go of its lock."""

import threading
from contextlib import nullcontext

import pytest

from heartmula_studio.errors import ConflictError
from heartmula_studio.services.tasks import Tasks
from heartmula_studio.store.task_views import Task
from tests.still_studio import filled, settings_for, still_studio, wait_until


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
