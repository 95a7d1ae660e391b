"""The queue's rules, up to the moment a worker is started; and one that is started and killed."""

import dataclasses
import json
import threading

import pytest
import torch
from safetensors.torch import save_file

from heartmula_studio.errors import ClusterError, ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.finetune.checkpoint_meta import ParentId
from heartmula_studio.finetune.parent import Parent
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.local_executor import LocalExecutor
from heartmula_studio.services.training.processes import processes_of
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.services.training.ray_cluster.executor import RayExecutor
from heartmula_studio.store.records import Checkpoint, utc_now
from tests.recordings import SONGS
from tests.services.studio_folder import BUNDLED, folder_of, new_queue, run_until, song_dataset, submit


@pytest.fixture
def style(store, tmp_path):
    """A stored style of rank 3 on one kind of layer."""
    layers = [f"base_model.model.backbone.layers.{n}.attn.q_proj" for n in range(2)]
    tensors = {f"{layer}.lora_A.weight": torch.zeros(3, 4) for layer in layers}
    folder = tmp_path / "made"
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 6}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    record = Checkpoint(store.checkpoints.new_id(), "Night drive", (), "lora", {}, None, None, 0, utc_now())
    return store.checkpoints.publish(folder, record)


def mark(store, job, **changes):
    return store.jobs.update(job.id, lambda job: dataclasses.replace(job, **changes))


def test_a_submitted_job_holds_all_it_needs(store, dataset, queue):
    job = submit(queue, dataset, epochs=7)
    folder = folder_of(store, job)
    assert (job.status, job.phase, job.epochs, job.lora_rank, job.progress) == ("queued", "waiting", 7, 2, 0)
    assert json.loads(folder.config.read_text()) == job.config
    songs = folder.read_songs()
    assert [song.filename for song in songs.songs] == [file.filename for file in dataset.audio_files]
    assert songs.songs[0].tags == ("electronic", "arcade")
    assert queue.list() == [job]


def test_a_job_that_trains_a_style_further_has_its_kind_and_a_copy_of_it(store, dataset, queue, style):
    job = queue.start(dataset.id, start_from=style.id)
    folder = folder_of(store, job)
    assert (job.lora_rank, job.config["start_from"]) == (3, style.id)
    assert {path.name for path in folder.parent.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "meta.json",
    }  # fmt: skip
    store.checkpoints.delete(style.id)
    assert Parent.read(folder.parent).id == ParentId(style.id, style.name)
    with pytest.raises(NotFoundError):
        queue.clone(job.id)
    assert queue.clone(job.id, start_from="", lora_rank=5).lora_rank == 5


def test_a_style_is_not_trained_further_with_another_rank(store, dataset, queue, style):
    with pytest.raises(InvalidInputError, match=f"lora_rank is 8, but the style {style.name}"):
        queue.start(dataset.id, start_from=style.id, lora_rank=8)
    with pytest.raises(NotFoundError):
        queue.start(dataset.id, start_from="../../etc")
    assert not queue.list()


def test_several_processes_want_a_cluster(store, dataset, queue):
    with pytest.raises(InvalidInputError, match="processes is 2, but trainings of this server run on its own machine"):
        queue.start(dataset.id, processes=2)
    assert not queue.list()


def test_too_few_songs_are_counted_and_leave_no_job(store, queue):
    dataset = song_dataset(store, SONGS[:3])
    with pytest.raises(InvalidInputError, match="3 of 5"):
        submit(queue, dataset)
    assert not queue.list()


def test_a_queued_job_is_cancelled_resumed_and_deleted(store, dataset, queue):
    job = submit(queue, dataset)
    assert queue.stop(job.id, save=True).status == "cancelled"
    with pytest.raises(ConflictError, match="cancelled"):
        queue.stop(job.id, save=False)
    later = queue.resume(job.id)
    assert later.status == "queued"
    assert later.queued_at > job.queued_at
    with pytest.raises(ConflictError, match="queued"):
        queue.resume(job.id)
    queue.delete(job.id)
    for call in (queue.get, queue.resume, queue.delete, queue.logs, queue.metrics, queue.events):
        with pytest.raises(NotFoundError):
            call(job.id)


@pytest.mark.parametrize("status", ["completed", "running"])
def test_what_cannot_be_resumed(store, dataset, queue, status):
    job = mark(store, submit(queue, dataset), status=status)
    with pytest.raises(ConflictError, match=status):
        queue.resume(job.id)


def test_a_running_job_is_not_deleted(store, dataset, queue):
    job = mark(store, submit(queue, dataset), status="running")
    with pytest.raises(ConflictError, match="running"):
        queue.delete(job.id)


def test_resuming_takes_the_songs_anew_until_training_has_begun(store, dataset, queue):
    job = submit(queue, dataset)
    queue.stop(job.id, save=False)
    store.datasets.update_audio(dataset.id, dataset.audio_files[0].filename, caption="new words")
    queue.resume(job.id)
    assert folder_of(store, job).read_songs().songs[0].lyrics == "new words"
    queue.stop(job.id, save=False)
    store.datasets.remove_audio(dataset.id, dataset.audio_files[0].filename)
    with pytest.raises(InvalidInputError, match="4 of 5"):
        queue.resume(job.id)


def test_one_job_at_a_time_in_order_and_the_next_says_why_it_waits(store, dataset, queue):
    first, second = submit(queue, dataset), submit(queue, dataset)
    queue.tick()
    queue.tick()
    assert [job.status for job in queue.list()] == ["running", "queued"]
    assert "Waits for the training of Arcade" in queue.get(second.id).message
    queue.stop(first.id, save=False)
    queue.tick()
    assert [job.status for job in queue.list()] == ["cancelled", "running"]
    queue.stop(second.id, save=False)


def test_owners_take_turns_and_priorities_go_first_and_each_job_says_where_it_stands(store, dataset, queue):
    first = queue.start(dataset.id, owner="ann", max_steps=1)
    ann, bob = queue.clone(first.id), queue.clone(first.id, owner="bob")
    urgent = queue.clone(first.id, priority=5)
    queue.stop(first.id, save=False)
    mark(store, first, started_at=utc_now())
    queue.tick()
    jobs = [queue.get(job.id) for job in (urgent, bob, ann)]
    assert [(job.status, job.queue_position) for job in jobs] == [("running", None), ("queued", 2), ("queued", 3)]
    assert [(job.owner, job.priority) for job in jobs] == [("ann", 5), ("bob", 0), ("ann", 0)]
    queue.tick()
    assert [queue.get(job.id).queue_position for job in (bob, ann)] == [1, 2]
    queue.stop(urgent.id, save=False)
    queue.tick()
    assert [queue.get(job.id).status for job in (bob, ann)] == ["running", "queued"]
    queue.stop(bob.id, save=False)


def test_a_cluster_that_cannot_be_reached_is_told_and_waited_for(store, dataset):
    queue = JobQueue(store, BUNDLED, LocalExecutor(Devices(store)), RayExecutor("127.0.0.1:1"))
    job = submit(queue, dataset)
    for status in ("queued", "running"):
        mark(store, job, status=status, started_at=utc_now(), message="")
        run_until(queue, lambda: "cannot be reached" in queue.get(job.id).message)
        assert queue.get(job.id).status == status
    with pytest.raises(ClusterError):
        queue.stop(job.id, save=False)
    queue.close()


def test_two_servers_start_a_job_once_and_cancelling_leaves_no_process(store, dataset, queue):
    job, servers = submit(queue, dataset), [queue, new_queue(store)]
    together = threading.Barrier(2)

    def look_after(server):
        together.wait()
        for _ in range(5):
            server.tick()

    threads = [threading.Thread(target=look_after, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = folder_of(store, job)
    assert len(list(processes_of(folder))) == 1
    run_until(servers[1], lambda: servers[1].get(job.id).worker is not None)
    assert servers[1].stop(job.id, save=False).status == "cancelled"
    assert not folder.is_worked_on()
    assert not list(processes_of(folder))
    servers[0].tick()
    assert servers[0].get(job.id).status == "cancelled"


def test_a_folder_that_cannot_be_written_fails_with_the_reason(store, dataset, queue):
    job = submit(queue, dataset)
    JobFolder(store.jobs.folder(job.id)).output.mkdir()
    queue.tick()
    failed = queue.get(job.id)
    assert (failed.status, failed.error.code) == ("failed", "storage")
    assert "worker.txt" in failed.error.message


def test_a_damaged_record_does_not_stop_the_others(store, dataset, queue):
    broken, job = submit(queue, dataset), submit(queue, dataset)
    (store.jobs.folder(broken.id) / "manifest.json").write_text("{")
    queue.tick()
    assert queue.get(job.id).status == "running"
    queue.stop(job.id, save=False)
