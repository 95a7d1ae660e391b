"""Loading of libraries that take seconds."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Keep the garbage collector off while libraries are imported.

    PyTorch, transformers and PEFT make hundreds of thousands of objects that stay, and it would go through all of them
    again and again, for a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
