"""Too little memory, told as what a person can do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

from heartmula_studio.arch.out_of_memory import is_out_of_memory
from heartmula_studio.errors import OutOfMemoryError


@contextmanager
def memory_explained() -> Iterator[None]:
    """Raise OutOfMemoryError in place of what PyTorch and Python raise when an allocation fails."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "There is too little memory for this base model and song.",
            "Ask for a shorter song, stop other programs and trainings on the same device, or use a smaller base.",
        ) from error
