"""Versions of one recording: read a little faster, or from a fraction of a frame later, the same music has other codes.

They make more to learn from of few tracks. Speed perturbation: Ko et al., "Audio Augmentation for Speech Recognition"
(Interspeech 2015); pitch changes with the speed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ

MAX_SPEED_CHANGE = 0.06  # a semitone
# Of the R2 sequence, which spreads any number of points evenly over a square (Roberts, "The Unreasonable Effectiveness
# of Quasirandom Sequences", 2018).
_STEPS = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class TrackVersion:
    """How a recording is read: at `speed` times its own, without its first `offset_sec`."""

    speed: float = 1.0
    offset_sec: float = 0.0

    def source_sec(self, frame: int) -> float:
        """Return where in the recording a frame begins, in seconds."""
        return self.offset_sec + frame * self.speed / FRAME_RATE_HZ


AS_RECORDED = TrackVersion()


@dataclass(frozen=True)
class VersionCodes:
    """The codes of one version, int16 [K, T]."""

    version: TrackVersion
    codes: Tensor

    def __post_init__(self) -> None:
        assert self.codes.dtype == torch.int16, self.codes.dtype
        assert self.codes.ndim == 2, self.codes.shape


def track_version(number: int) -> TrackVersion:
    """Return a version by its number: 0 is the recording as it is, others are spread over speeds and offsets."""
    if number == 0:
        return AS_RECORDED
    across, along = (number * step % 1.0 for step in _STEPS)
    return TrackVersion(1.0 + MAX_SPEED_CHANGE * (2.0 * across - 1.0), along / FRAME_RATE_HZ)
