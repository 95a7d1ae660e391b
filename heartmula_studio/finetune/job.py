"""Run or resume the training job of one folder, in this process or in many started by a launcher."""

from collections.abc import Mapping
from pathlib import Path

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import get_int_from_env, parse_flag_from_env
from safetensors import SafetensorError

from heartmula_studio.arch.out_of_memory import is_out_of_memory
from heartmula_studio.errors import (
    InvalidInputError,
    NotFoundError,
    PeerLostError,
    StorageError,
    StudioError,
    TrainingError,
)
from heartmula_studio.finetune.agreement import in_every_process, is_peer_lost, sole_run
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.environment import full_float32, ignored_notes, require_none_refused, take_variables
from heartmula_studio.finetune.previews import Listener
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.finetune.run_log import RunLog
from heartmula_studio.finetune.stop import StopRequest
from heartmula_studio.finetune.trainer import OnStep, Trainer, TrainResult

MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def train(
    job_dir: str | Path, on_step: OnStep | None = None, device: str | None = None, listener: Listener | None = None
) -> TrainResult:
    """Train until the job in `job_dir` is complete or asked to stop; go on from its last saved state if it has one.

    on_step: called on the main process with the event of every step. device: "cpu" or a kind of GPU
    ("cuda", "mps"); None takes a GPU where there is one. listener: renders songs to listen to along the way.
    Raises the errors of config, dataset and base model; ConflictError where another run is at work in the folder;
    InvalidInputError where there is no such device, or the environment asks for what a run cannot do; StorageError
    where the disk refuses; and TrainingError (NonFiniteLossError among them) where the run cannot go on. Whatever goes
    wrong in the folder is also in logs.txt and, as the event `failed`, in metrics.jsonl.
    """
    folder = RunFolder(Path(job_dir))
    variables = take_variables()
    # Accelerate itself heeds this flag only later, when it is too late for the process group.
    processes = PartialState(cpu=device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU"))
    try:
        in_every_process(lambda: require_folder(folder))
        with sole_run(folder, processes), full_float32():
            return train_alone(folder, on_step, device, processes, variables, listener)
    except OSError as error:
        raise as_studio_error(error, folder) from error
    finally:
        # The next job in this process may want another precision, or another device.
        AcceleratorState._reset_state(reset_partial_state=processes.num_processes == 1)


def train_alone(
    folder: RunFolder,
    on_step: OnStep | None,
    device: str | None,
    processes: PartialState,
    variables: Mapping[str, str],
    listener: Listener | None,
) -> TrainResult:
    """Do as `train` in a folder that no other run is at work in. `variables`: what the environment asked for."""
    log = RunLog(folder, processes.is_main_process)
    try:
        require_none_refused(variables)
        require_device(processes, device)
        require_processes_asked_for(processes)
        for note in ignored_notes(variables):
            log.say(note)
        config = in_every_process(lambda: TrainConfig.load(folder.config))
        with StopRequest(folder) as stop:
            return Trainer(folder, config, log, stop, on_step, listener).run()
    except StudioError as error:
        log.fail(error)
        # All processes raise it. Were one to exit earlier, the launcher would kill the others while they write.
        processes.wait_for_everyone()
        raise
    except Exception as error:
        # Perhaps in this process only: it must exit, for the launcher to end those that wait for it.
        if is_out_of_memory(error) or is_peer_lost(error) or isinstance(error, (OSError, SafetensorError)):
            failure = as_studio_error(error, folder)
            log.fail(failure)
            raise failure from error
        log.fail(TrainingError(f"{type(error).__name__}: {error}", "This is a bug in the program; please report it."))
        raise


def as_studio_error(error: Exception, folder: RunFolder) -> StudioError:
    """Say what the machine lacks, and what to do."""
    if is_out_of_memory(error):
        return TrainingError(
            "The device has too little memory for this run.",
            "Turn on gradient_checkpointing and start the job again. Lower batch_size or max_window_sec, "
            "mixed_precision bf16, base_dtype bfloat16 or method lora save more, but need a new job folder.",
        )
    if is_peer_lost(error):
        return PeerLostError(
            "Another process of this run has ended, or cannot be reached any more.",
            "See what it said, where it ran; then start the job again: it goes on from its last saved state.",
        )
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.filename or folder.path}: {error.strerror}"
    return StorageError(
        f"A file cannot be read or written. {reason}.",
        f"Make room on the disk of {folder.path} and see that you may write there, then start the job again: it goes "
        "on from its last saved state.",
    )


def require_folder(folder: RunFolder) -> None:
    if not folder.path.is_dir():
        raise NotFoundError(f"There is no job folder {folder.path}.", "Give a folder with config.json and dataset/.")


def require_device(processes: PartialState, device: str | None) -> None:
    """Raise InvalidInputError where training will not run on the `device` asked for."""
    if device is not None and processes.device.type != device:
        raise InvalidInputError(
            f"Training on {device!r} is not possible here; it would run on {processes.device.type}.",
            'Ask for "cpu", for the GPU of this machine, or for nothing to let it choose.',
        )


def require_processes_asked_for(processes: PartialState) -> None:
    """Raise TrainingError where a launcher was asked for several processes and this one finds itself alone.

    `torchrun` and `mpirun` on a machine without a GPU start processes that would not meet unless told to use the CPU.
    """
    num_started = get_int_from_env(["WORLD_SIZE", *MPI_SIZES], 1)
    if processes.num_processes == 1 < num_started:
        raise TrainingError(
            f"{num_started} processes were started, but each finds itself alone.",
            "On the CPU start them with: accelerate launch --cpu --num_processes 2 "
            "-m heartmula_studio.finetune JOB_FOLDER",
        )
