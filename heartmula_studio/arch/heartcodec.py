"""HeartCodec: waveform → features → codes (encoder), codes → latents → waveform (decoder).

One window at a time; cutting songs into windows and joining them again is `codec`'s work.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.flow_matching import FlowMatching, FlowMatchingConfig
from heartmula_studio.arch.frames import FRAME_RATE_HZ, LATENTS_PER_FRAME
from heartmula_studio.arch.scalar_codec import ScalarCodec, ScalarCodecConfig
from heartmula_studio.files.json_file import config_errors_name, dataclass_from_json

LATENT_RATE_HZ = FRAME_RATE_HZ * LATENTS_PER_FRAME
CHANNELS = 2


@dataclass(frozen=True)
class HeartCodecConfig:
    """The contents of a HeartCodec `config.json`, split by module; missing keys take the official values."""

    flow: FlowMatchingConfig
    scalar: ScalarCodecConfig

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "config.json") -> "HeartCodecConfig":
        """Raises CheckpointMismatchError naming `source` where the values describe no network."""
        with config_errors_name(source):
            return cls(dataclass_from_json(FlowMatchingConfig, values), dataclass_from_json(ScalarCodecConfig, values))

    def to_dict(self) -> dict[str, Any]:
        return {
            "model_type": "heartcodec",
            "architectures": ["HeartCodec"],
            **asdict(self.flow),
            **asdict(self.scalar),
        }

    @property
    def sample_rate(self) -> int:
        return self.scalar.sample_rate

    @property
    def samples_per_latent(self) -> int:
        return round(self.sample_rate / LATENT_RATE_HZ)

    @property
    def samples_per_frame(self) -> int:
        return self.samples_per_latent * LATENTS_PER_FRAME


class HeartCodec(nn.Module):
    """Decoder and, where its checkpoint is there, encoder. Float32 with TF32 off, eval mode."""

    def __init__(self, config: HeartCodecConfig, encoder_config: Mapping[str, Any] | None = None):
        super().__init__()
        self.config = config
        self.flow_matching = FlowMatching(config.flow)
        self.scalar_model = ScalarCodec(config.scalar)
        self.encoder = None if encoder_config is None else build_encoder(encoder_config)

    def encode_window(self, waveform: Tensor) -> Tensor:
        """[B, 2, encoder.window_samples] at the encoder's rate → features [B, 372, dim]."""
        assert self.encoder is not None, "this codec was loaded without its encoder"
        return self.encoder(waveform)

    def quantize(self, features: Tensor) -> Tensor:
        """Features [B, T, dim] → codes [B, K, T]."""
        return self.flow_matching.vq_embed.encode(features).transpose(1, 2)

    def encode_latents(self, waveform: Tensor) -> Tensor:
        """[B, 2, T] → latents [B, T / samples_per_latent, C], left channel first."""
        latents = self.scalar_model.encode(waveform.flatten(0, 1)[:, None])
        return latents.unflatten(0, (-1, CHANNELS)).flatten(1, 2).transpose(1, 2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """[B, T, C] → waveform [B, 2, T · samples_per_latent]; each half of C is one channel."""
        channels = latents.transpose(1, 2).unflatten(1, (CHANNELS, -1)).flatten(0, 1)
        return self.scalar_model.decode(channels).unflatten(0, (-1, CHANNELS)).squeeze(2)
