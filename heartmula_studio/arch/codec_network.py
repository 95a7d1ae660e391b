"""What every codec's network does, whatever it makes sound with."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.arch.window_encoder import WindowEncoder

CHANNELS = 2
Noise = Callable[[tuple[int, ...]], Tensor]
"""Draws the starting point of one window: shape → float32 tensor on the CPU."""


@dataclass(frozen=True)
class FlowSteps:
    """How flow matching goes from noise to latents; `noise` is drawn anew for each window."""

    num_steps: int
    guidance: float
    noise: Noise


class CodecConfig(Protocol):
    """What others ask of a codec's config."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def samples_per_frame(self) -> int: ...

    @property
    def feature_dim(self) -> int: ...

    @property
    def num_quantizers(self) -> int: ...

    @property
    def codebook_size(self) -> int: ...

    @property
    def guidance(self) -> float:
        """The guidance of flow matching that suits it."""

    @property
    def is_heard_soon(self) -> bool:
        """Whether a song may begin with short windows, which are soon sound."""

    def to_dict(self) -> dict[str, Any]:
        """The contents of its `config.json`."""


class CodecNetwork(nn.Module, ABC):
    """Decoder and, where its checkpoint is there, encoder. Float32 with TF32 off, eval mode."""

    config: CodecConfig
    encoder: WindowEncoder | None

    @property
    @abstractmethod
    def quantiser(self) -> ResidualQuantiser: ...

    def encode_window(self, waveform: Tensor) -> Tensor:
        """[B, 2, encoder.window_samples] at the encoder's rate → features [B, 372, dim]."""
        assert self.encoder is not None, "this codec was loaded without its encoder"
        return self.encoder(waveform)

    def quantize(self, features: Tensor) -> Tensor:
        """Features [B, T, dim] → codes [B, K, T]."""
        return self.quantiser.encode(features).transpose(1, 2)

    @abstractmethod
    def decode_window(self, codes: Tensor, start: int, past: Tensor | None, steps: FlowSteps) -> tuple[Tensor, Tensor]:
        """Codes [B, K, n] → waveform [B, 2, samples] and latents [B, n · LATENTS_PER_FRAME, C].

        start: the first frame's place in the song. past: the last latents of the window before, which these frames
        begin with again.
        """
