"""ZeroGPU, the hardware of Spaces that lend a GPU to one function at a time."""

from collections.abc import Callable
from typing import TypeVar, cast

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.settings import is_zero_gpu

T = TypeVar("T")

SONG_SEC = 180  # longer are not lent to everybody


def on_zero_gpu(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function that runs where the GPU is: on ZeroGPU in a process of its own, else here.

    To be called before torch is loaded: `spaces`, which Spaces have installed, changes it.
    """
    if not is_zero_gpu():
        return function
    import spaces

    return cast(Callable[..., T], spaces.GPU(duration=SONG_SEC)(function))


def refuse_training() -> None:
    """Raise InvalidInputError on ZeroGPU, where no process has a GPU for as long as a training takes."""
    if is_zero_gpu():
        raise InvalidInputError(
            "Training cannot run on ZeroGPU, which lends its GPU for a minute or two at a time.",
            "Give the Space hardware of its own in its settings, or train elsewhere and import the style.",
        )
