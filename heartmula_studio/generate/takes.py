"""Songs that are made side by side, each read and written by itself."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.codec.control import Cancelled, check_cancelled
from heartmula_studio.errors import CancelledError
from heartmula_studio.generate.receipt import Receipt
from heartmula_studio.generate.song_codes import SongCodes
from heartmula_studio.generate.song_writer import GeneratedSong, Listener, SongWriter


def _no_listener() -> AbstractContextManager[Listener | None]:
    return nullcontext()


@dataclass(frozen=True)
class SongOutput:
    """Where a song goes. `live` is entered while it becomes sound, and gives who hears it; `cancelled` is its own.

    `tried` is what its receipt has under this name.
    """

    path: Path
    live: Callable[[], AbstractContextManager[Listener | None]] = _no_listener
    cancelled: Cancelled | None = None
    tried: tuple[int, ...] = ()


class SideBySide:
    """The codes of songs whose frames come together: whoever is read first has all of them go on.

    Any thread may read a song.
    """

    def __init__(self, frames: Iterator[Sequence[Tensor | None]], num_songs: int):
        """frames: the next one of each song, int64 [K], None of one that has ended."""
        self._frames, self._lock = frames, threading.Lock()
        self._taken: list[list[Tensor]] = [[] for _ in range(num_songs)]

    def pieces(self, number: int) -> Iterator[Tensor]:
        """Yield a song's codes, [K, 1] at a time."""
        taken, done = self._taken[number], 0
        while done < len(taken) or self._goes_on(number, done):
            yield taken[done][:, None]
            done += 1

    def read_all(self) -> None:
        """Have all songs made to their ends."""
        while self._take_frames():
            pass

    def codes(self, number: int) -> Tensor:
        """Return what there is of a song, [K, T]."""
        return torch.stack(self._taken[number], dim=1)

    def _goes_on(self, number: int, done: int) -> bool:
        """Take frames of every song until this one has more than `done`; return whether it has."""
        with self._lock:
            while len(self._taken[number]) == done:
                frames = self._take_frames()
                if not frames or frames[number] is None:
                    return False
            return True

    def _take_frames(self) -> Sequence[Tensor | None]:
        """Take the next frame of every song; return them, nothing where all have ended."""
        frames = next(self._frames, ())
        for taken, frame in zip(self._taken, frames, strict=False):
            if frame is not None:
                taken.append(frame)
        return frames


def write_take(
    writer: SongWriter,
    output: SongOutput,
    sound: Iterable[Tensor],
    made: Callable[[], tuple[SongCodes, Receipt]],
    cancelled: Cancelled | None,
) -> GeneratedSong | None:
    """Write one of several songs; None where it is cancelled and the others go on.

    Raises CancelledError where all are to stop, and as `SongWriter.write`.
    """

    def made_in_turn() -> tuple[SongCodes, Receipt]:
        codes, receipt = made()
        return codes, replace(receipt, tried=output.tried)

    try:
        with output.live() as listener:
            return writer.write(unless_cancelled(sound, output.cancelled), made_in_turn, listener)
    except CancelledError:
        check_cancelled(cancelled)
        return None


def unless_cancelled(sound: Iterable[Tensor], cancelled: Cancelled | None) -> Iterator[Tensor]:
    """Yield stretches of sound. Raises CancelledError before one that is not wanted any more."""
    for stretch in sound:
        check_cancelled(cancelled)
        yield stretch
