"""What every encoder is: it hears one window at a time."""

from abc import ABC, abstractmethod

from torch import nn


class WindowEncoder(nn.Module, ABC):
    """A window [B, 2, window_samples] → features [B, 372, feature_width]."""

    sample_rate_hz: int
    window_samples: int

    @property
    @abstractmethod
    def feature_width(self) -> int: ...
