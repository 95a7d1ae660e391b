"""The light encoder of small bases: a mel front end before the official encoder's query transformer."""

from collections.abc import Mapping
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn

from heartmula_studio.arch.frames import samples_per_window
from heartmula_studio.arch.query_encoder import QueryEncoder, QueryTransformer

MEL_PER_LATENT = 2  # the mel runs at 50 Hz


class MelEncoder(QueryEncoder):
    """Log-mel of both channels at 50 Hz, convolutions down to 25 Hz, then the query transformer.

    What a query gathers from the whole window is added to a linear map of the mel spectrogram at its own place: without
    that, it takes attention long to learn where this is.
    """

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
