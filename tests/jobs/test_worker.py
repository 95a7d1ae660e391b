"""How training is launched on each kind of device."""

from pathlib import Path

import pytest

from heartmula_studio.jobs.worker import launch_command

JOB = Path("/data/jobs/a")


@pytest.mark.parametrize(
    ("device", "wanted"),
    [("cpu", ["--cpu"]), ("cuda", ["--gpu_ids", "0"]), ("cuda:2", ["--gpu_ids", "2"]), ("mps", [])],
)
def test_one_process_on_the_device_of_the_job(device, wanted):
    command = launch_command(JOB, device, None)
    assert command[1:6] == ["-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "1"]
    assert command[-3 - len(wanted) :] == [*wanted, "-m", "heartmula_studio.finetune", str(JOB)]


def test_a_configuration_of_ones_own_decides_alone():
    command = launch_command(JOB, "cpu", Path("/etc/accelerate.yaml"))
    assert command[4:] == ["--config_file", "/etc/accelerate.yaml", "-m", "heartmula_studio.finetune", str(JOB)]
