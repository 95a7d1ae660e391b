"""Running a network in full precision, with progress, and stopping it within moments."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from heartmula_studio.errors import CancelledError

Progress = Callable[[int, int], None]
"""Called with (done, total) steps."""

Cancelled = Callable[[], bool]


def check_cancelled(cancelled: Cancelled | None) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError("The work was stopped.", "Start it again when you like.")


@contextmanager
def stoppable(network: nn.Module, cancelled: Cancelled | None) -> Iterator[None]:
    """Ask `cancelled` before every layer that this thread runs: one window may take a minute on a small machine."""
    owner = threading.get_ident()

    def ask(*_: object) -> None:
        if threading.get_ident() == owner:
            check_cancelled(cancelled)

    hooks = [module.register_forward_pre_hook(ask) for module in network.modules()] if cancelled else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class WithoutTF32:
    """Keeps TF32 off while any thread is inside. The flags are global: the first saves them, the last restores them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = (False, False)

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self._before


_without_tf32 = WithoutTF32()  # one for the process, as the flags are


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 without TF32 or autocast: the codec rounds its latents, so that small drift flips steps (25 dB lost)."""
    with _without_tf32, torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
        yield
