"""Whether anybody can hear a piece of sound."""

import math

import torch
from torch import Tensor

AUDIBLE_DB = -60.0  # relative to full scale
UNHEARD = (
    f"This song cannot be heard: it is silent, constant, or below {AUDIBLE_DB:g} dB. "
    "Try another seed, a lower strength of the style, or the base model."
)


class LevelMeter:
    """The level of sound that comes in pieces: root mean square around the mean, so that a constant is silent."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = torch.zeros(())

    def add(self, samples: Tensor) -> None:
        """samples: [C, T], full scale is 1."""
        samples = samples.detach().cpu().double()  # Apple's GPUs have no float64
        self._count += samples.shape[-1]
        self._sum = self._sum + samples.sum(dim=-1)
        self._squares = self._squares + samples.square().sum(dim=-1)

    @property
    def is_audible(self) -> bool:
        """Whether any channel reaches -60 dB; False before any sound, and for what is no number."""
        if not self._count:
            return False
        mean = self._sum / self._count
        loudest = (self._squares / self._count - mean.square()).clamp(min=0).max().item()
        return math.isfinite(loudest) and loudest >= 10 ** (AUDIBLE_DB / 10)
