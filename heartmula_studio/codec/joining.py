"""Decoding windows: where they start, which codes fill them, how their waveforms are joined. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from heartmula_studio.arch.frames import WINDOW_FRAMES

OVERLAP_FRAMES = 52
"""Of whole windows, one of which starts every 25.6 s, as the flow-matching decoder was trained to continue them."""
OVERLAP_SHARE = 4
SHORTEST_WINDOW_FRAMES = 32


@dataclass(frozen=True)
class CodeWindow:
    """Codes [K, n] from frame `start` of a song on.

    The next window, if there is one, begins `overlap_frames` before the end of this one.
    """

    codes: Tensor
    start: int
    overlap_frames: int


class FrameBuffer:
    """Codes of a song, [K, n] at a time, as far as they were asked for."""

    def __init__(self, pieces: Iterable[Tensor]):
        self._pieces = iter(pieces)
        self._taken: list[Tensor] = []
        self.num_frames = 0

    def reaches(self, num_frames: int) -> bool:
        """Take pieces until there are so many frames; return whether there are."""
        while self.num_frames < num_frames:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._taken.append(piece)
            self.num_frames += piece.shape[1]
        return True

    def window(self, start: int, length: int) -> Tensor:
        """Return [K, length], filled up by starting over at the song's first frame where it ends."""
        self._taken = [torch.cat(self._taken, dim=1)]
        codes = self._taken[0]
        return codes[:, torch.arange(start, start + length, device=codes.device) % codes.shape[1]]


def window_lengths(is_growing: bool) -> Iterator[int]:
    """Yield how many frames each window has, without end.

    is_growing: the first ones are short, so that a song is heard soon. Each is a third longer than the one before:
    while that one plays, a song that is made half as fast again as it plays comes up to the end of the next.
    """
    length = min(SHORTEST_WINDOW_FRAMES, WINDOW_FRAMES) if is_growing else WINDOW_FRAMES
    while True:
        yield length
        length = min(length * 4 // 3, WINDOW_FRAMES)


def overlap_frames(length: int) -> int:
    """Return how much of a window the next one goes over again."""
    return min(OVERLAP_FRAMES, length // OVERLAP_SHARE)


def num_windows(num_frames: int, is_growing: bool = False) -> int:
    """How many windows decode `num_frames` code frames."""
    end = overlap = 0
    for number, length in enumerate(window_lengths(is_growing), start=1):
        end, overlap = end - overlap + length, overlap_frames(length)
        if end >= num_frames:
            return number
    raise AssertionError("windows go on for ever")


def code_windows(frames: FrameBuffer, is_growing: bool = False) -> Iterator[CodeWindow]:
    """Yield the windows of a song, each as soon as its frames are there.

    is_growing: as `window_lengths`; the last one is no longer than what is left, or than the first.
    """
    start = 0
    for length in window_lengths(is_growing):
        if not frames.reaches(start + length) and is_growing:
            length = max(frames.num_frames - start, SHORTEST_WINDOW_FRAMES)
        yield CodeWindow(frames.window(start, length), start, overlap_frames(length))
        if not frames.reaches(start + length + 1):
            return
        start += length - overlap_frames(length)


def crossfade(windows: Iterable[tuple[Tensor, int]]) -> Iterator[Tensor]:
    """Join waveforms [C, n] by linear fades; yield what is finished.

    Each comes with the number of samples that the next one, if there is one, overlaps it.
    """
    tail = None
    for window, overlap_samples in windows:
        if tail is not None:
            fade_in = torch.linspace(0, 1, tail.shape[1])
            overlap = tail * (1 - fade_in) + window[:, : tail.shape[1]] * fade_in
            window = torch.cat((overlap, window[:, tail.shape[1] :]), dim=1)
        yield window[:, :-overlap_samples]
        tail = window[:, -overlap_samples:]
    if tail is not None:
        yield tail


def cut(blocks: Iterable[Tensor], num_samples: Callable[[], int]) -> Iterator[Tensor]:
    """The first `num_samples()` of blocks [C, n], asked for with each block; never an empty block."""
    done = 0
    for block in blocks:
        if (left := num_samples() - done) > 0:
            yield block[:, :left]
        done += block.shape[1]
