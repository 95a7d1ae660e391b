"""Loading of libraries that take seconds."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Keep the garbage collector off while libraries are imported, and what came with them from it ever after.

    PyTorch, transformers and PEFT make hundreds of thousands of objects that stay, and it would go through all of them
    again and again, for a fifth of the time, and once more as the process ends, for a second.
    """
    was_enabled, loaded_before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > loaded_before:
            gc.freeze()
        if was_enabled:
            gc.enable()
