"""What `accelerate launch` on CPUs was asked for is read from its own command line and configuration."""

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.finetune.launch import Processes, asked_for

RUN = "-m heartmula_studio.finetune job"
TWO_MACHINES = "--num_machines 2 --machine_rank 1 --main_process_ip 10.0.0.1 --main_process_port 4711"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (f"accelerate launch --cpu --num_processes 3 {RUN}", Processes(3)),
        (f"/bin/python /bin/accelerate launch --num-processes=2 --cpu {RUN}", Processes(2)),
        (f"python -m accelerate.commands.launch --cpu --num_processes 2 {RUN}", Processes(2)),
        (f"accelerate launch --cpu {RUN}", None),
        (f"accelerate launch --cpu --num_processes 1 {RUN}", None),
        (f"accelerate launch --cpu -m another.program --num_processes 2 {RUN}", None),
        (f"accelerate launch --cpu {TWO_MACHINES} {RUN}", Processes(2, 2, 1, "10.0.0.1", 4711)),
        (f"mpirun -n 2 python {RUN}", None),
        (f"accelerate launch --cpu --num_processes 4 {TWO_MACHINES} {RUN}", Processes(4, 2, 1, "10.0.0.1", 4711)),
    ],
)
def test_the_command_line_says_how_many(command, expected):
    assert asked_for(command.split()) == expected


def test_the_configuration_says_how_many_and_the_command_line_beats_it(tmp_path):
    """With the numbers in a configuration, the one process that the launcher starts would train alone."""
    config = tmp_path / "two.yaml"
    config.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nuse_cpu: true\nmixed_precision: 'no'\n"
        "num_processes: 4\nnum_machines: 2\nmachine_rank: 1\nmain_process_ip: 10.0.0.1\nmain_process_port: 4711\n"
    )
    command = ["accelerate", "launch", "--config_file", str(config)]
    assert asked_for([*command, *RUN.split()]) == Processes(4, 2, 1, "10.0.0.1", 4711)
    assert asked_for([*command, "--machine_rank", "0", *RUN.split()]).machine_rank == 0


@pytest.mark.parametrize("numbers", [(3, 2), (1, 2), (0, 2), (2, 2, 2), (2, 0)])
def test_processes_that_cannot_be_shared_out_are_refused(numbers):
    with pytest.raises(InvalidInputError, match="not possible"):
        Processes(*numbers)
