"""Encoders: one window of stereo waveform → features at 12.5 Hz, which the codec's quantiser turns into tokens.

`HeartCodecEncoder` is the official one (config version `vqv12`); `MelEncoder` is the light one of small bases
(version `mel-v2`), which puts a mel front end before the same query transformer.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from heartmula_studio.arch.feature_extractors import SAMPLE_RATE_HZ, TAIL_SAMPLES, FeatureExtractors
from heartmula_studio.arch.frames import samples_per_window
from heartmula_studio.arch.query_encoder import FusionQueryEncoder, QueryTransformer

MEL_PER_LATENT = 2  # the light encoder's mel runs at 50 Hz


class HeartCodecEncoder(nn.Module):
    """The official encoder. Windows are 29.76 s at 24 kHz; forward adds the tail of zeros the extractors expect."""

    version = "vqv12"
    sample_rate_hz = SAMPLE_RATE_HZ
    window_samples = samples_per_window(SAMPLE_RATE_HZ)

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.feature_extractors = FeatureExtractors(config.get("feature_extractors", {}))
        self.query = FusionQueryEncoder(**config.get("query", {}))

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 2, window_samples] → features [B, 372, dim]."""
        return self.query(*self.feature_extractors(F.pad(waveform, (0, TAIL_SAMPLES))))


class MelEncoder(nn.Module):
    """Log-mel of both channels at 50 Hz, convolutions down to 25 Hz, then the query transformer.

    What a query gathers from the whole window is added to a linear map of the mel spectrogram at its own place: without
    that, it takes attention long to learn where this is.
    """

    version = "mel-v2"

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.sample_rate_hz = config["sample_rate"]
        self.window_samples = samples_per_window(self.sample_rate_hz)
        self.hop_samples = self.sample_rate_hz // 50
        self.mean, self.std, self.floor = config["mean"], config["std"], config["floor"]
        dim = config["query"]["dim"]
        with torch.device("cpu"):
            self.mel = torchaudio.transforms.MelSpectrogram(
                self.sample_rate_hz, config["n_fft"], hop_length=self.hop_samples, n_mels=config["n_mels"], power=1.0
            )
        self.front = nn.Sequential(
            nn.Conv1d(2 * config["n_mels"], dim, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(dim, dim, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv1d(dim, dim, 5, padding=2),
        )
        self.query = QueryTransformer(**config["query"])
        self.own_frames = nn.Linear(MEL_PER_LATENT * self.query.interval * 2 * config["n_mels"], dim)
        # Features of fixed scale: otherwise they shrink and drift faster than codebooks can follow in training.
        self.norm = nn.BatchNorm1d(dim, affine=False)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """[B, 2, T] → standardised log-mel of left and right stacked, [B, 2 · n_mels, T / hop_samples]."""
        mel = self.mel(waveform)[..., :-1]
        return ((mel + self.floor).log() - self.mean).div(self.std).flatten(1, 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 2, T] → features [B, T · 12.5 / sample_rate, dim]; T is a multiple of 80 ms."""
        return self.features(self.log_mel(waveform))

    def features(self, log_mel: Tensor) -> Tensor:
        """[B, 2 · n_mels, frames at 50 Hz] → features [B, frames / 4, dim]."""
        own = log_mel.transpose(1, 2).unflatten(1, (-1, MEL_PER_LATENT * self.query.interval)).flatten(2)
        queries = self.query.gather(self.front(log_mel).transpose(1, 2)) + self.own_frames(own)
        return self.norm(queries.transpose(1, 2)).transpose(1, 2)


def build_encoder(config: Mapping[str, Any]) -> nn.Module:
    """Build the encoder that a config's `version` names. Raises ValueError for an unknown one."""
    versions = {kind.version: kind for kind in (HeartCodecEncoder, MelEncoder)}
    version = config.get("version", HeartCodecEncoder.version)
    if version not in versions:
        raise ValueError(f"its version {version!r} is unknown; known are {', '.join(versions)}")
    return versions[version](config)
