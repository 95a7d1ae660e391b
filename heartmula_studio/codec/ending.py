"""Whether a recording comes to an end, by fading, decaying or falling silent, or is cut off while it sounds."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

ENDING_SEC = 0.3  # what is looked at, at the very end
ENDED_DB = -18.0  # its level against the whole recording's


class EndingMeter:
    """The level of a recording that comes in blocks, and that of its last third of a second."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._ending_samples = round(ENDING_SEC * sample_rate_hz)
        self._ending: Tensor | None = None
        self._squares, self._count = 0.0, 0

    def metered(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Pass blocks [C, T] on, and add them."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: Tensor) -> None:
        """block: [C, T]"""
        self._squares += block.double().square().sum().item()
        self._count += block.numel()
        joined = block if self._ending is None else torch.cat((self._ending, block), dim=1)
        self._ending = joined[:, -self._ending_samples :].clone()

    @property
    def has_ended(self) -> bool:
        """Whether its last third of a second is 18 dB below the whole recording; False before any sound."""
        if self._ending is None or not self._squares:
            return False
        level = self._ending.double().square().mean().item() / (self._squares / self._count)
        return level <= 10 ** (ENDED_DB / 10) and math.isfinite(level)
