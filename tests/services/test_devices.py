"""Who waits for whom on a device, and what things are thought to take."""

import dataclasses

import pytest

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.errors import ConflictError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.costs.memory import training_bytes
from heartmula_studio.generate.memory import generation_bytes
from heartmula_studio.services import devices as devices_module
from heartmula_studio.services.devices import Devices
from heartmula_studio.store.records import utc_now
from tests.services.studio_folder import submit

BEFORE, LATER = "2000-01-01T00:00:00.000000+00:00", "2999-01-01T00:00:00.000000+00:00"


@pytest.fixture
def devices(store):
    return Devices(store)


@pytest.fixture
def too_little(monkeypatch):
    monkeypatch.setattr(devices_module, "free_bytes", lambda device: 10**8)


@pytest.fixture
def plenty(monkeypatch):
    monkeypatch.setattr(devices_module, "free_bytes", lambda device: 10**12)


def may_train(devices, store, job, since=None, device="cpu"):
    return devices.may_train(device, job.config, store.jobs.folder(job.id), since or job.queued_at)


def run(store, job):
    store.jobs.update(job.id, lambda job: dataclasses.replace(job, status="running"))


def test_training_waits_for_a_song_only_if_both_do_not_fit(store, dataset, queue, devices, too_little):
    job = submit(queue, dataset)
    assert may_train(devices, store, job) is None
    with devices.generating("cpu"):
        assert "a song that is being made on cpu: training needs" in may_train(devices, store, job)
        assert may_train(devices, store, job, device="cuda:1") is None
        queue.tick()
        assert "Waits for a song" in queue.get(job.id).message
    assert may_train(devices, store, job) is None


def test_both_run_where_both_fit(store, dataset, queue, devices, plenty):
    job = submit(queue, dataset)
    with devices.generating("cpu"):
        assert may_train(devices, store, job) is None
    run(store, job)
    assert devices.may_generate("cpu", "nano", utc_now()) is None


def test_a_song_waits_for_training_by_name(store, dataset, queue, devices, too_little):
    assert devices.may_generate("cpu", "nano", LATER) is None
    run(store, submit(queue, dataset))
    assert "Waits for the training of Arcade on cpu: a song needs" in devices.may_generate("cpu", "nano", LATER)


def test_who_came_first_goes_first(store, dataset, queue, devices, too_little):
    """Neither may a row of trainings keep a song waiting for ever, nor a row of songs a training; nor both wait."""
    job = submit(queue, dataset)
    assert devices.may_generate("cpu", "nano", LATER)
    assert devices.may_generate("cpu", "nano", BEFORE) is None
    with devices.wanted("cpu", LATER):
        assert may_train(devices, store, job) is None
    with devices.wanted("cpu", BEFORE):
        assert "asked for earlier" in may_train(devices, store, job)


def test_a_device_makes_one_song_at_a_time(store, devices):
    with devices.generating("cuda"):
        assert "another song" in Devices(store).may_generate("cuda:0", "nano", utc_now())
        with pytest.raises(ConflictError), Devices(store).generating("cuda:0"):
            pass


def test_estimates_grow_with_what_they_are_made_of():
    base = find_base("nano")

    def needed(seconds=30.0, **settings):
        return training_bytes(TrainConfig(**settings), base, seconds, "cpu")

    assert needed(method="full") > needed()
    assert needed(seconds=60) > needed()
    assert needed(seconds=600) == needed(seconds=240)
    assert needed(batch_size=4) > needed()
    assert needed(gradient_checkpointing=True) < needed()
    assert generation_bytes(base, "cpu") > generation_bytes(base, "cpu", is_loaded=True) > 0
