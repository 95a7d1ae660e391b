"""Decoding windows: where they start, which codes fill them, how their waveforms are joined. Pure."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from heartmula_studio.arch.frames import WINDOW_FRAMES

HOP_FRAMES = 320
OVERLAP_FRAMES = WINDOW_FRAMES - HOP_FRAMES
"""A window every 25.6 s, as the flow-matching decoder was trained to continue them."""


def num_windows(num_frames: int) -> int:
    """How many windows decode `num_frames` code frames."""
    return max(1, math.ceil((num_frames - OVERLAP_FRAMES) / HOP_FRAMES))


def code_windows(codes: Tensor) -> Iterator[Tensor]:
    """[K, T] → windows [K, 372]; the last one is filled up by starting over at the song's first frame."""
    num_frames = codes.shape[1]
    for start in range(0, num_windows(num_frames) * HOP_FRAMES, HOP_FRAMES):
        yield codes[:, torch.arange(start, start + WINDOW_FRAMES, device=codes.device) % num_frames]


def crossfade(windows: Iterable[Tensor], overlap_samples: int) -> Iterator[Tensor]:
    """Join waveforms [C, n], each of which overlaps the one before, by linear fades; yield what is finished."""
    fade_in = torch.linspace(0, 1, overlap_samples)
    tail = None
    for window in windows:
        if tail is not None:
            overlap = tail * (1 - fade_in) + window[:, :overlap_samples] * fade_in
            window = torch.cat((overlap, window[:, overlap_samples:]), dim=1)
        yield window[:, :-overlap_samples]
        tail = window[:, -overlap_samples:]
    if tail is not None:
        yield tail


def cut(blocks: Iterable[Tensor], num_samples: int) -> Iterator[Tensor]:
    """The first `num_samples` of blocks [C, n]; never an empty block."""
    left = num_samples
    for block in blocks:
        if left > 0:
            yield block[:, :left]
        left -= block.shape[1]
