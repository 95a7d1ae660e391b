"""All training audio in memory as 16-bit samples, and random crops of it."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from recipes.nano.manifest import read_manifest

INT16_SCALE = 32768.0


class AudioPool:
    """The pieces of one split of DIR/manifest.jsonl; `refresh` takes in those that have arrived since."""

    def __init__(self, work: Path, split: str = "train"):
        self.work, self.split = work, split
        self.pieces: dict[str, np.ndarray] = {}
        self.refresh()

    def refresh(self) -> None:
        for record in read_manifest(self.work / "manifest.jsonl"):
            if record["split"] == self.split and record["id"] not in self.pieces:
                samples, _ = soundfile.read(self.work / record["file"], dtype="int16", always_2d=True)
                self.pieces[record["id"]] = samples
        self._weights = np.array([len(piece) for piece in self.pieces.values()], dtype=np.float64)
        self._weights /= self._weights.sum()
        self._list = list(self.pieces.values())

    def crops(self, count: int, samples: int, rng: np.random.Generator) -> Tensor:
        """Random stereo crops [count, 2, samples] with a random gain of at most 6 dB up or down, in [-1, 1]."""
        batch = np.zeros((count, samples, 2), dtype=np.float32)
        for row, index in enumerate(rng.choice(len(self._list), size=count, p=self._weights)):
            piece = self._list[index]
            start = rng.integers(0, max(1, len(piece) - samples))
            crop = piece[start : start + samples]
            batch[row, : len(crop)] = crop * (10 ** rng.uniform(-0.3, 0.3) / INT16_SCALE)
        return torch.from_numpy(batch).transpose(1, 2).clamp(-1, 1)
