"""HeartCodec: waveform → features → codes (encoder), codes → latents → waveform (decoder).

One window at a time; cutting songs into windows and joining them again is `codec`'s work.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from heartmula_studio.arch.codec_network import CHANNELS, CodecNetwork, FlowSteps
from heartmula_studio.arch.encoders import build_encoder
from heartmula_studio.arch.flow_matching import FlowMatching, FlowMatchingConfig
from heartmula_studio.arch.frames import FRAME_RATE_HZ, LATENTS_PER_FRAME
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.scalar_codec import ScalarCodec, ScalarCodecConfig
from heartmula_studio.files.json_file import config_errors_name, dataclass_from_json

LATENT_RATE_HZ = FRAME_RATE_HZ * LATENTS_PER_FRAME


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

    @property
    def feature_dim(self) -> int:
        return self.flow.dim

    @property
    def num_quantizers(self) -> int:
        return self.flow.num_quantizers

    @property
    def codebook_size(self) -> int:
        return self.flow.codebook_size

    @property
    def guidance(self) -> float:
        return self.flow.guidance

    @property
    def is_heard_soon(self) -> bool:
        return False


class HeartCodec(CodecNetwork):
    """The official codec: flow matching makes latents, and an SQ codec sound of them."""

    config: HeartCodecConfig

    def __init__(self, config: HeartCodecConfig, encoder_config: Mapping[str, Any] | None = None):
        super().__init__()
        self.config = config
        self.flow_matching = FlowMatching(config.flow)
        self.scalar_model = ScalarCodec(config.scalar)
        self.encoder = None if encoder_config is None else build_encoder(encoder_config)

    @property
    def quantiser(self) -> ResidualQuantiser:
        return self.flow_matching.vq_embed

    def decode_window(self, codes: Tensor, start: int, past: Tensor | None, steps: FlowSteps) -> tuple[Tensor, Tensor]:
        noise = steps.noise((len(codes), codes.shape[2] * LATENTS_PER_FRAME, self.config.flow.out_channels))
        latents = self.flow_matching.decode(codes, noise.to(codes.device), past, steps.num_steps, steps.guidance)
        return self.decode_latents(latents), latents

    def encode_latents(self, waveform: Tensor) -> Tensor:
        """[B, 2, T] → latents [B, T / samples_per_latent, C], left channel first."""
        latents = self.scalar_model.encode(waveform.flatten(0, 1)[:, None])
        return latents.unflatten(0, (-1, CHANNELS)).flatten(1, 2).transpose(1, 2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """[B, T, C] → waveform [B, 2, T · samples_per_latent]; each half of C is one channel."""
        channels = latents.transpose(1, 2).unflatten(1, (CHANNELS, -1)).flatten(0, 1)
        return self.scalar_model.decode(channels).unflatten(0, (-1, CHANNELS)).squeeze(2)
