"""Keeps the processes of a run together: each may read a folder of its own machine, and all must find the same."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from heartmula_studio.errors import ConflictError, InvalidInputError, StudioError
from heartmula_studio.files.file_lock import try_lock
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.run_folder import RunFolder

T = TypeVar("T")

GLOO = "third_party/gloo"  # the place in its code that each of its errors names


def in_every_process(action: Callable[[], T]) -> T:
    """Do something that may fail in some processes only. Raises in all of them what it raised in any."""
    error: StudioError | None = None
    try:
        result = action()
    except StudioError as caught:
        error = caught
    errors: list[StudioError | None] = gather_object([error])
    if error is not None and all(errors):
        raise error
    for number, found in enumerate(errors):
        if found is not None:
            raise type(found)(f"In process {number}: {found.message}", found.hint)
    return result


def is_peer_lost(error: Exception) -> bool:
    """Whether another process of the run can no longer be talked to. Gloo, on CPUs, has no class of its own for it."""
    return isinstance(error, torch.distributed.DistError) or GLOO in str(error)


def require_one_process(config: TrainConfig, num_processes: int) -> None:
    """Raise InvalidInputError where several processes would each keep gradients that the others do not see."""
    if config.is_full_in_16_bits and num_processes > 1:
        raise InvalidInputError(
            f"A full fine-tune with base_dtype bfloat16 runs in one process, not in {num_processes}.",
            'Start one process, or use base_dtype "float32".',
        )


def require_alike(values: Mapping[str, Any]) -> None:
    """Raise InvalidInputError in every process where some have other `values` than the main one, naming which."""
    machines = gather_object([(socket.gethostname(), dict(values))])
    (main_host, expected), *others = machines
    for number, (host, found) in enumerate(others, 1):
        if differing := [name for name in sorted(expected) if found.get(name) != expected[name]]:
            raise InvalidInputError(
                f"Process {number} on {host} finds another run in its folder than the main process on {main_host}: "
                f"{', '.join(differing)} differ.",
                "Put the run's folder on a disk that all machines share, or copy the folder of the main process's "
                "machine, state/ and dataset/ included, to the others before each start.",
            )


@contextmanager
def sole_run(folder: RunFolder, processes: PartialState) -> Iterator[None]:
    """Lock a folder for this run. Raises ConflictError in every process where another run is at work in it."""
    lock = try_lock(folder.lock) if processes.is_main_process else None
    is_locked = broadcast_object_list([lock is not None])[0]
    if not is_locked:
        # Were one process to exit earlier, the launcher would kill the main one before it has said why.
        processes.wait_for_everyone()
        raise ConflictError(
            f"Another run is training in {folder.path}.",
            "Wait until it has ended, or stop it with a file named `stop` in that folder. Several processes of one "
            "run are started together, by `accelerate launch` or `torchrun`.",
        )
    try:
        yield
    finally:
        if lock:
            lock.close()
