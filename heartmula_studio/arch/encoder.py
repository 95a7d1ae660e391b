"""The official encoder: one window of stereo waveform → features at 12.5 Hz, which the quantiser turns into tokens."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from heartmula_studio.arch.feature_extractors import SAMPLE_RATE_HZ, TAIL_SAMPLES, FeatureExtractors
from heartmula_studio.arch.frames import samples_per_window
from heartmula_studio.arch.query_encoder import FusionQueryEncoder
from heartmula_studio.arch.window_encoder import WindowEncoder


class HeartCodecEncoder(WindowEncoder):
    """Windows are 29.76 s at 24 kHz; forward adds the tail of zeros the extractors expect."""

    sample_rate_hz = SAMPLE_RATE_HZ
    window_samples = samples_per_window(SAMPLE_RATE_HZ)

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.feature_extractors = FeatureExtractors(config.get("feature_extractors", {}))
        self.query = FusionQueryEncoder(**config.get("query", {}))

    @property
    def feature_width(self) -> int:
        return self.query.cls_token.shape[-1]

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 2, window_samples] → features [B, 372, dim]."""
        return self.query(*self.feature_extractors(F.pad(waveform, (0, TAIL_SAMPLES))))
