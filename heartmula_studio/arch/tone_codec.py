"""A light codec of tones and noise, in place of flow matching and the SQ codec: codes → levels → sound.

Its files are laid out as the official codec's; the config's `decoder` is "tones".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heartmula_studio.arch.codec_network import CHANNELS, CodecNetwork, FlowSteps
from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME, ToneBank, ToneConfig
from heartmula_studio.files.json_file import config_errors_name, dataclass_from_json

DECODER = "tones"


@dataclass(frozen=True)
class LevelConfig:
    """Sizes of the quantiser, and of the network that tells levels from codes; field names as in `config.json`."""

    tone_floor: float  # the encoder's, whose logarithms codes tell of
    noise_floor: float
    dim: int = 131
    codebook_size: int = 128
    codebook_dim: int = 48
    num_quantizers: int = 8
    hidden_dim: int = 320
    kernel_size: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)
    level_floor: float = 3e-3


@dataclass(frozen=True)
class ToneCodecConfig:
    """The contents of the `config.json` of a codec of tones, split by module."""

    levels: LevelConfig
    tones: ToneConfig

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "config.json") -> "ToneCodecConfig":
        """Raises CheckpointMismatchError naming `source` where the values describe no network."""
        with config_errors_name(source):
            return cls(dataclass_from_json(LevelConfig, values), dataclass_from_json(ToneConfig, values))

    def to_dict(self) -> dict[str, Any]:
        return {"model_type": "heartcodec", "decoder": DECODER, **asdict(self.levels), **asdict(self.tones)}

    @property
    def sample_rate(self) -> int:
        return self.tones.sample_rate

    @property
    def samples_per_frame(self) -> int:
        return LEVELS_PER_FRAME * self.tones.hop_samples

    @property
    def feature_dim(self) -> int:
        return self.levels.dim

    @property
    def num_quantizers(self) -> int:
        return self.levels.num_quantizers

    @property
    def codebook_size(self) -> int:
        return self.levels.codebook_size

    @property
    def guidance(self) -> float:
        """1: there is no flow matching to be guided."""
        return 1.0

    @property
    def is_heard_soon(self) -> bool:
        return True


class ToneCodec(CodecNetwork):
    """Codes → how loud each tone and each band of noise is → what oscillators and noises make of it."""

    config: ToneCodecConfig

    def __init__(self, config: ToneCodecConfig):
        super().__init__()
        sizes = config.levels
        self.config = config
        self.vq_embed = ResidualQuantiser(sizes.dim, sizes.codebook_size, sizes.codebook_dim, sizes.num_quantizers)
        self.level_network = LevelNetwork(sizes, config.tones)
        self.bank = ToneBank(config.tones)
        self.encoder = None

    @property
    def quantiser(self) -> ResidualQuantiser:
        return self.vq_embed

    def levels(self, codes: Tensor) -> Tensor:
        """Codes [B, K, T] → levels [B, num_levels, 4 T], the same for both channels."""
        told: Tensor = self.level_network(self.vq_embed.decode(codes.mT))
        return told

    def decode_window(self, codes: Tensor, start: int, past: Tensor | None, steps: FlowSteps) -> tuple[Tensor, Tensor]:
        """As `CodecNetwork`, without steps and without latents: the same codes at the same place sound the same."""
        waveform = self.bank(self.levels(codes)[:, None].expand(-1, CHANNELS, -1, -1), start * LEVELS_PER_FRAME)
        return waveform, codes.new_zeros(len(codes), codes.shape[2] * LATENTS_PER_FRAME, 0)


class LevelNetwork(nn.Module):
    """Quantised features [B, T, dim] → levels [B, num_levels, 4 T].

    A linear map of each frame, and what the frames around it add to that, tell logarithms above a floor. What is told
    of a level that is not sure is too low; `gain` makes up for that on average.
    """

    gain: Tensor
    told_floors: Tensor

    def __init__(self, config: LevelConfig, tones: ToneConfig):
        super().__init__()
        width = tones.num_levels * LEVELS_PER_FRAME
        self.floor, self.num_levels = config.level_floor, tones.num_levels
        self.register_buffer("told_floors", tones.floors(config.tone_floor, config.noise_floor), persistent=False)
        self.own_frame = nn.Linear(config.dim, width)
        self.enter = nn.Conv1d(config.dim, config.hidden_dim, config.kernel_size, padding="same")
        self.blocks = nn.Sequential(
            *(Block(config.hidden_dim, config.kernel_size, dilation) for dilation in config.dilations)
        )
        self.leave = nn.Linear(config.hidden_dim, width)
        self.register_buffer("gain", torch.ones(tones.num_levels))

    def logs(self, quantised: Tensor) -> Tensor:
        """Logarithms of level + floor before the gain, [B, num_levels, 4 T]."""
        heard = self.above_floor(quantised)
        around = self.blocks(self.enter(heard.mT)).mT
        told = self.own_frame(heard) + self.leave(around)
        return told.unflatten(-1, (self.num_levels, LEVELS_PER_FRAME)).transpose(1, 2).flatten(2)

    def above_floor(self, quantised: Tensor) -> Tensor:
        """The levels among quantised features [B, T, dim] as logarithms above the network's own floor, 0 for silence.

        The encoder's floor is higher, so that codes tell of what is loud.
        """
        levels = (quantised[..., : self.num_levels].exp() - self.told_floors).clamp_min(0)
        return torch.cat(((levels / self.floor).log1p(), quantised[..., self.num_levels :]), dim=-1)

    def forward(self, quantised: Tensor) -> Tensor:
        return (self.logs(quantised).exp() - self.floor).clamp_min(0) * self.gain[:, None]


class Block(nn.Module):
    """[B, D, T] → [B, D, T], which sees frames on both sides."""

    def __init__(self, dim: int, kernel_size: int, dilation: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.wide = nn.Conv1d(dim, dim, kernel_size, padding="same", dilation=dilation)
        self.mix = nn.Conv1d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(F.gelu(self.wide(self.norm(x.mT).mT)))
