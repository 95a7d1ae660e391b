"""How training is started on each kind of device."""

import sys
from pathlib import Path

import pytest

from heartmula_studio.services.training.worker import training_command, training_environment, trains_itself

JOB = Path("/data/jobs/a")
TRAINER = ["-m", "heartmula_studio.finetune", str(JOB)]


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        ("cpu", {"ACCELERATE_USE_CPU": "true"}),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "0"}),
        ("cuda:2", {"CUDA_VISIBLE_DEVICES": "2"}),
        ("mps", {}),
    ],
)
def test_the_device_of_the_job_alone_is_used(device, wanted):
    assert training_environment(device, None) == wanted


def test_one_process_needs_no_launcher():
    assert training_command(JOB, None) == [sys.executable, *TRAINER]


def test_a_configuration_of_ones_own_decides_how_many_start():
    config = Path("/etc/accelerate.yaml")
    command = training_command(JOB, config)
    assert command[1:4] == ["-m", "accelerate.commands.accelerate_cli", "launch"]
    assert command[4:] == ["--config_file", "/etc/accelerate.yaml", *TRAINER]
    assert training_environment("cuda:1", config) == training_environment("cpu", config) == {}


def test_it_trains_itself_where_no_memory_of_a_gpu_is_to_be_given_back():
    config = Path("/etc/accelerate.yaml")
    trains = {(device, given): trains_itself(device, given) for device in ("cpu", "cuda:1") for given in (None, config)}
    assert [case for case, does in trains.items() if does] == [("cpu", None)]
