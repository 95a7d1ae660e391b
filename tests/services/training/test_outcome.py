"""Jobs whose worker has ended, from the files it left behind."""

import dataclasses
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from heartmula_studio.errors import AudioError, CancelledError, ConflictError, StorageError, TrainingError
from heartmula_studio.finetune.checkpoint_meta import BaseId, CheckpointMeta, RunLosses
from heartmula_studio.finetune.events import FailedEvent
from heartmula_studio.services.training.executor import WorkerEnd
from heartmula_studio.services.training.outcome import record_outcome
from heartmula_studio.services.training.tokenizing_progress import TokenizingProgress
from heartmula_studio.store.records import Worker, utc_now
from tests.services.studio_folder import folder_of, new_queue, submit
from tests.training_events import done, lines, start, step, stopped

STEP = step(2, progress=50.0, loss=3.123456, eta_sec=7.0)


@pytest.fixture
def job(store, dataset, queue):
    """A job that is said to run, by a worker that is gone."""
    job = submit(queue, dataset)
    worker = Worker(1, 1.0, "here")
    return store.jobs.update(job.id, lambda job: dataclasses.replace(job, status="running", worker=worker))


@pytest.fixture
def leave(store, job):
    """leave(event, …) → the job's folder with these events."""

    def write(*events):
        folder = folder_of(store, job)
        with folder.metrics.open("a") as file:
            file.write(lines(start(total_steps=4), *events))
        return folder

    return write


def checkpoint(folder):
    path = folder.checkpoint("last")
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    (path / "adapter_config.json").write_text("{}")
    CheckpointMeta(
        id="a1",
        schema=1,
        created_at=utc_now(),
        method="lora",
        base_model=BaseId("nano", "f"),
        step=4,
        total_steps=4,
        epochs=1,
        losses=RunLosses(train=3.0, initial=None, eval=None, best=None),
        songs=("a",),
        held_out_songs=(),
        config={"epochs": 1},
        versions={"torch": "2"},
    ).write(path)


def test_done_becomes_a_checkpoint_once(store, queue, job, leave):
    checkpoint(leave(STEP, done(4)))
    queue.tick()
    ended = store.jobs.get(job.id)
    assert (ended.status, ended.checkpoint_id, ended.worker, ended.loss) == ("completed", job.id, None, 3.1235)
    assert ended.finished_at
    made = store.checkpoints.list()
    assert [(c.name, c.styles, c.job_id, c.losses.train) for c in made] == [
        ("Arcade 1", ("electronic", "arcade"), job.id, 3.0)
    ]
    assert [right.rights for right in made[0].rights] == ["own"] * 5
    assert made[0].base_model == {"name": "nano", "fingerprint": "f"}
    assert (made[0].recipe["config"], made[0].recipe["total_steps"], made[0].recipe["songs"]) == (
        {"epochs": 1},
        4,
        ["a"],
    )


def test_a_server_killed_while_it_settled_settles_again(store, queue, job, leave):
    checkpoint(leave(done(4)))
    first = record_outcome(store, job)
    store.jobs.update(job.id, lambda _: job)  # the kill fell between the checkpoint and the record
    queue.tick()
    again = store.jobs.get(job.id)
    assert dataclasses.replace(again, finished_at=None) == dataclasses.replace(first, finished_at=None)
    assert len(store.checkpoints.list()) == 1


def test_done_without_its_checkpoint_is_a_failure(store, queue, job, leave):
    leave(done(4))
    queue.tick()
    assert store.jobs.get(job.id).error.code == "checkpoint_missing"


def test_a_damaged_checkpoint_is_a_failure(store, queue, job, leave):
    """It was looked at twice a second for ever, and the job said that it was saving."""
    folder = leave(done(4))
    checkpoint(folder)
    (folder.checkpoint("last") / "meta.json").write_text('{"id": ')
    queue.tick()
    assert (store.jobs.get(job.id).status, store.jobs.get(job.id).error.code) == ("failed", "checkpoint_corrupt")


def test_stopped_and_saved(store, queue, job, leave):
    folder = leave(STEP, stopped(2))
    (folder.states / "step-00000002").mkdir(parents=True)
    queue.tick()
    ended = store.jobs.get(job.id)
    assert ended.status == "interrupted"
    assert "saved at step 2. Resume goes on from step 2." in ended.message
    assert (ended.step, ended.progress, ended.total_steps, ended.eta_sec) == (2, 50.0, 4, None)


def test_what_training_says_of_its_failure_is_kept(store, queue, job, leave):
    leave(FailedEvent.of(TrainingError("No memory.", "Use less.")))
    queue.tick()
    failed = store.jobs.get(job.id)
    assert (failed.status, failed.error.message, failed.error.hint) == ("failed", "No memory.", "Use less.")


def test_a_song_that_cannot_be_used(store, queue, job, dataset):
    folder, name = folder_of(store, job), dataset.audio_files[1].filename
    TokenizingProgress(dataset.audio_files[0].filename, 1, 5, frames=30).append_to(folder.preprocess)
    TokenizingProgress(name, 2, 5, error="It is damaged.").append_to(folder.preprocess)
    folder.write_failure(AudioError(f"{name}: It is damaged.", "Replace it."))
    queue.tick()
    failed, files = store.jobs.get(job.id), store.datasets.get(dataset.id).audio_files
    assert failed.status == "failed"
    assert name in failed.error.message
    assert [(file.frames, file.error) for file in files[:3]] == [(30, None), (None, "It is damaged."), (None, None)]


def test_stopped_while_tokenising_is_no_failure(store, queue, job):
    folder_of(store, job).write_failure(CancelledError("Stopped."))
    queue.tick()
    assert (store.jobs.get(job.id).status, store.jobs.get(job.id).error) == ("interrupted", None)


def test_killed_says_where_resuming_goes_on(store, queue, job, leave):
    (leave(STEP).states / "step-00000001").mkdir(parents=True)
    queue.tick()
    killed = store.jobs.get(job.id)
    assert killed.status == "interrupted"
    assert "ended silently" in killed.message
    assert "Resume goes on from step 1." in killed.message


def test_a_worker_that_could_not_even_write_why(store, job):
    failed = record_outcome(store, job, WorkerEnd(StorageError.exit_code))
    assert (failed.status, failed.error.code) == ("failed", "storage")


def test_the_last_words_of_a_worker_that_broke(store, job):
    folder_of(store, job).output.write_text("Traceback\nValueError: no such option\n")
    assert "ValueError: no such option" in record_outcome(store, job, WorkerEnd(1)).error.message


def test_a_dataset_deleted_meanwhile_changes_nothing_else(store, queue, job, dataset, leave):
    checkpoint(leave(done(4)))
    store.datasets.delete(dataset.id)
    queue.tick()
    assert store.jobs.get(job.id).status == "completed"


def test_a_server_killed_before_it_started_the_worker_leaves_a_queued_job(store, job):
    """Nothing had begun; it must not read as interrupted."""
    store.jobs.update(job.id, lambda job: dataclasses.replace(job, worker=None))
    new_queue(store).tick()
    assert store.jobs.get(job.id).status == "queued"


@contextmanager
def full_disk():
    """No byte can be written to any file, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def exited_with(code: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-Sc", f"raise SystemExit({code})"])


def test_a_full_disk_in_training_is_told_at_once_and_resumed_once_there_is_room(store, queue, job, leave, caplog):
    """P: the job said "running, step 6 of 60", and resume answered 409, until there was room again."""
    folder = leave(STEP)
    (folder.states / "step-00000002").mkdir(parents=True)
    queue._local._children[job.id] = exited_with(StorageError.exit_code)
    with full_disk():
        queue.tick()
        queue.tick()
        seen = queue.get(job.id)
        assert (seen.status, seen.error.code, seen.step, seen.worker) == ("failed", "storage", 2, None)
        assert "disk is full" in seen.message
        assert "Make room" in seen.error.hint
        assert queue.list() == [seen]
        assert [event for _, event in queue.events(job.id)][-1] == {"event": "end", "status": "failed"}
        with pytest.raises(StorageError, match="File too large") as refused:
            queue.resume(job.id)
        assert "make room" in refused.value.hint
        with pytest.raises(ConflictError, match="ended"):
            queue.stop(job.id, save=True)
    assert len(caplog.records) == 1
    assert queue.resume(job.id).status == "queued"
    assert (folder.states / "step-00000002").is_dir()


def test_how_a_job_ended_is_not_forgotten_while_the_disk_is_full(store, queue, job, leave):
    leave(STEP)
    queue._local._children[job.id] = exited_with(StorageError.exit_code)
    with full_disk():
        queue.tick()
    queue.tick()
    assert (store.jobs.get(job.id).status, store.jobs.get(job.id).error.code) == ("failed", "storage")


def test_a_trained_job_is_stored_as_soon_as_there_is_room(store, queue, job, leave):
    folder = leave(STEP)
    checkpoint(folder)
    leave(done(4))
    with full_disk():
        queue.tick()
        assert (queue.get(job.id).status, queue.get(job.id).phase) == ("running", "saving")
        assert "as soon as" in queue.get(job.id).message
    queue.tick()
    assert queue.get(job.id).status == "completed"


def test_a_failed_job_can_be_deleted_to_make_room(queue, job, leave):
    leave(STEP)
    with full_disk():
        queue.tick()
        queue.delete(job.id)
        assert queue.list() == []


def test_a_job_that_cannot_start_for_want_of_room_says_so(store, dataset, queue):
    job = submit(queue, dataset)
    with full_disk():
        queue.tick()
        assert queue.get(job.id).status == "queued"
        assert "make room" in queue.get(job.id).message
