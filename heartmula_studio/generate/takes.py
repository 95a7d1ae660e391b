"""Songs that are made side by side, each read and written by itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.codec.control import Cancelled
from heartmula_studio.generate.song_writer import Listener


def _no_listener() -> AbstractContextManager[Listener | None]:
    return nullcontext()


@dataclass(frozen=True)
class SongOutput:
    """Where a song goes. `live` is entered while it becomes sound, and gives who hears it; `cancelled` is its own."""

    path: Path
    live: Callable[[], AbstractContextManager[Listener | None]] = _no_listener
    cancelled: Cancelled | None = None


class SideBySide:
    """The codes of songs whose frames come together: whoever is read first has all of them go on."""

    def __init__(self, frames: Iterator[Sequence[Tensor | None]], num_songs: int):
        """frames: the next one of each song, int64 [K], None of one that has ended."""
        self._frames = frames
        self._taken: list[list[Tensor]] = [[] for _ in range(num_songs)]

    def pieces(self, number: int) -> Iterator[Tensor]:
        """Yield a song's codes, [K, 1] at a time."""
        taken, done = self._taken[number], 0
        while done < len(taken) or self._go_on(number):
            yield taken[done][:, None]
            done += 1

    def codes(self, number: int) -> Tensor:
        """Return what there is of a song, [K, T]."""
        return torch.stack(self._taken[number], dim=1)

    def _go_on(self, number: int) -> bool:
        """Take the next frame of every song; return whether this one has one."""
        frames = next(self._frames, None)
        if frames is None:
            return False
        for taken, frame in zip(self._taken, frames, strict=True):
            if frame is not None:
                taken.append(frame)
        return frames[number] is not None
