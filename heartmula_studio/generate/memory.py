"""Too little memory, told as what a person can do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from heartmula_studio.errors import OutOfMemoryError

CPU_ALLOCATOR = "DefaultCPUAllocator"  # PyTorch has no exception class of its own for the CPU


@contextmanager
def memory_explained() -> Iterator[None]:
    """Raise OutOfMemoryError in place of what PyTorch and Python raise when an allocation fails."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or CPU_ALLOCATOR in str(error)):
            raise
        raise OutOfMemoryError(
            "There is too little memory for this base model and song.",
            "Ask for a shorter song, stop other programs and trainings on the same device, or use a smaller base.",
        ) from error
