"""The encoder of codecs of tones and noise: how loud they are, and how that moves within a frame. It has no network."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from heartmula_studio.arch.frames import samples_per_window
from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME, ToneConfig, tone_levels
from heartmula_studio.arch.window_encoder import WindowEncoder
from heartmula_studio.files.json_file import dataclass_from_json

NUM_MOVEMENTS = LEVELS_PER_FRAME - 1


class ToneEncoder(WindowEncoder):
    """Log levels of both channels together: their mean over each frame, and the movement of groups of them within it.

    Features are less their mean over music, which is all that its checkpoint holds.
    """

    mean: Tensor
    floors: Tensor
    groups: Tensor
    movements: Tensor

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.tones = dataclass_from_json(ToneConfig, config)
        self.sample_rate_hz = self.tones.sample_rate
        self.window_samples = samples_per_window(self.sample_rate_hz)
        self._num_groups = config["num_groups"]
        self.register_buffer("mean", torch.zeros(self.feature_width))
        with torch.device("cpu"):
            places = torch.arange(self.tones.num_levels) * self._num_groups // self.tones.num_levels
            is_member = (places == torch.arange(self._num_groups)[:, None]).float()
            floors = self.tones.floors(config["tone_floor"], config["noise_floor"])
            self.register_buffer("floors", floors[:, None], persistent=False)
            self.register_buffer("groups", is_member / is_member.sum(1, keepdim=True), persistent=False)
            self.register_buffer("movements", cosines(), persistent=False)

    @property
    def feature_width(self) -> int:
        return self.tones.num_levels + NUM_MOVEMENTS * self._num_groups

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 2, T] → features [B, T · 12.5 / sample_rate, dim]; T is a multiple of 80 ms."""
        levels = tone_levels(waveform.flatten(0, 1), self.tones).unflatten(0, (-1, waveform.shape[1]))
        return self.features(levels.square().mean(1).sqrt())

    def features(self, levels: Tensor) -> Tensor:
        """Levels of both channels together [B, num_levels, 4 T] → features [B, T, dim]."""
        return self.with_mean(levels) - self.mean

    def with_mean(self, levels: Tensor) -> Tensor:
        """The features before their mean over music is taken off."""
        logs = (levels + self.floors).log().unflatten(-1, (-1, LEVELS_PER_FRAME))  # [B, N, T, 4]
        moving = torch.einsum("gn,bntl,ml->btgm", self.groups, logs, self.movements)
        return torch.cat((logs.mean(-1).mT, moving.flatten(2)), dim=-1)


def cosines() -> Tensor:
    """How levels may move within a frame, [NUM_MOVEMENTS, LEVELS_PER_FRAME]: the cosines of a DCT without the first."""
    number, place = torch.arange(1, LEVELS_PER_FRAME)[:, None], torch.arange(LEVELS_PER_FRAME) + 0.5
    return (math.pi * number * place / LEVELS_PER_FRAME).cos() / math.sqrt(2)
