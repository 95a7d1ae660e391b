"""Real workers on the bundled base: the whole life of a job, and kills at every stage of it."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from heartmula_studio.errors import CancelledError, StorageError
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.training.local_executor import LocalExecutor
from heartmula_studio.services.training.preprocess import make_dataset
from heartmula_studio.services.training.processes import processes_of
from heartmula_studio.services.training.progress import with_progress
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.store.store import Store
from tests.recordings import CLIPS
from tests.services.studio_folder import (
    BUNDLED,
    add_song,
    folder_of,
    losses,
    new_queue,
    run_to_the_end,
    run_until,
    song_dataset,
    submit,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The losses of a job that nothing happens to but that its server goes; made once."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    queue = new_queue(store)
    job = submit(queue, song_dataset(store, CLIPS[:5]))
    queue.tick()
    assert queue.get(job.id).phase == "tokenising"
    done = run_to_the_end(new_queue(store), job)  # the next server finds the worker and what came of it
    return store, done, losses(store, job)


@pytest.fixture
def dataset(store):
    """Of songs that take a while to be tokenized."""
    return song_dataset(store, CLIPS[:5])


def launching_queue(store: Store, folder: Path) -> JobQueue:
    """A queue that starts training as a person's own configuration of Accelerate says."""
    config = folder / "accelerate.yaml"
    config.write_text("compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nnum_processes: 1\nuse_cpu: true\n")
    return JobQueue(store, BUNDLED, LocalExecutor(Devices(store), accelerate_config=config), None, poll_sec=0.1)


def trainer_of(folder) -> psutil.Process | None:
    """The process that trains: the launcher's child."""
    return next((p for p in processes_of(folder) if "launch" not in p.cmdline() and p.ppid() != os.getpid()), None)


def step_of(queue, job) -> int:
    return queue.get(job.id).step


def test_a_job_outlives_its_server_and_becomes_a_checkpoint(undisturbed):
    store, done, curve = undisturbed
    assert (done.status, done.progress, done.epoch) == ("completed", 100.0, 1)
    assert done.step == done.total_steps == len(curve)
    assert done.loss == round(curve[-1], 4)
    made = store.checkpoints.get(done.checkpoint_id)
    assert (made.name, made.base_model["name"], made.recipe["step"]) == ("Arcade 1", "nano", done.step)
    assert (store.checkpoints.folder(made.id) / "adapter_model.safetensors").is_file()
    dataset = store.datasets.get(done.dataset_id)
    assert dataset.status == "processed"
    assert all(file.frames for file in dataset.audio_files)
    queue = new_queue(store)
    assert [line for _, line in queue.events(done.id)][-1] == {"event": "end", "status": "completed"}
    assert "Listening to song 1 of 5" in queue.logs(done.id)[0]
    assert queue.metrics(done.id)[0]["event"] == "start"


def test_killed_while_tokenizing_and_while_training_it_resumes_to_the_same_losses(store, dataset, queue, undisturbed):
    job = submit(queue, dataset)
    folder = folder_of(store, job)
    run_until(queue, folder.preprocess.is_file)
    os.kill(queue.get(job.id).worker.pid, signal.SIGKILL)
    killed = run_to_the_end(queue, job)
    assert killed.status == "interrupted"
    assert "signal 9" in killed.message

    queue.resume(job.id)
    run_until(queue, lambda: step_of(queue, job) > 2)  # a step is told of before its state is saved
    os.kill(queue.get(job.id).worker.pid, signal.SIGKILL)
    killed = run_to_the_end(queue, job)
    assert killed.status == "interrupted"
    assert "Resume goes on from step" in killed.message
    assert trainer_of(folder) is None

    queue.resume(job.id)
    assert run_to_the_end(queue, job).status == "completed"
    assert losses(store, job) == undisturbed[2]


@pytest.mark.long
def test_launched_its_trainer_killed_stopped_and_its_launcher_killed_it_resumes_to_the_same_losses(
    store, dataset, undisturbed, tmp_path
):
    """Not launched, the trainer is the worker."""
    queue = launching_queue(store, tmp_path)
    job = submit(queue, dataset)
    folder = folder_of(store, job)
    run_until(queue, lambda: step_of(queue, job) > 2)  # a step is told of before its state is saved
    trainer_of(folder).kill()
    killed = run_to_the_end(queue, job)
    assert killed.status == "interrupted"
    assert "Resume goes on from step" in killed.message

    queue.resume(job.id)
    run_until(queue, lambda: step_of(queue, job) > killed.step)
    queue.stop(job.id, save=True)
    stopped = run_to_the_end(queue, job)
    assert stopped.status == "interrupted"
    assert f"saved at step {stopped.step}." in stopped.message
    assert stopped.step < stopped.total_steps - 2

    queue.resume(job.id)
    run_until(queue, lambda: step_of(queue, job) > stopped.step)
    os.kill(queue.get(job.id).worker.pid, signal.SIGKILL)
    queue.tick()
    assert with_progress(store.jobs.get(job.id), folder).status == "running"  # the trainer itself lives
    assert run_to_the_end(queue, job).status == "completed"
    assert losses(store, job) == undisturbed[2]


@pytest.mark.long
def test_a_corrupt_song_fails_the_job_by_name_and_resuming_without_it_goes_on(store, dataset, queue, tmp_path):
    broken = tmp_path / "broken.ogg"
    raw = CLIPS[5].read_bytes()
    broken.write_bytes(raw[: len(raw) // 2] + bytes(len(raw) // 2))
    add_song(store, dataset, broken, is_checked=False)
    job = submit(queue, store.datasets.get(dataset.id))
    failed = run_to_the_end(queue, job)
    assert failed.status == "failed"
    assert "broken.ogg" in failed.error.message
    assert "then resume" in failed.error.hint
    files = {file.filename: file for file in store.datasets.get(dataset.id).audio_files}
    assert files["broken.ogg"].error
    assert files[CLIPS[0].name].frames

    store.datasets.remove_audio(dataset.id, "broken.ogg")
    queue.resume(job.id)
    run_until(queue, folder_of(store, job).dataset.is_dir)
    queue.stop(job.id, save=False)


def test_a_dataset_folder_that_refuses_tokens_is_named(store, dataset, queue):
    processed = store.datasets.folder(dataset.id) / "processed"
    processed.rmdir()
    processed.write_text("in the way")
    with pytest.raises(StorageError, match="processed"):
        make_dataset(folder_of(store, submit(queue, dataset)), "cpu", 60.0)


def test_stopping_while_tokenising_is_obeyed(store, dataset, queue):
    folder = folder_of(store, submit(queue, dataset))
    folder.stop.touch()
    with pytest.raises(CancelledError):
        make_dataset(folder, "cpu", 60.0)
    assert not folder.stop.exists()
    assert not folder.dataset.exists()
