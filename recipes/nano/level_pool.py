"""The levels of all training pieces in memory, and random crops of them."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME
from recipes.nano.levels import levels_of
from recipes.nano.manifest import read_manifest


class LevelPool:
    """The pieces of one split of DIR/manifest.jsonl."""

    def __init__(self, work: Path, split: str = "train"):
        records = [record for record in read_manifest(work / "manifest.jsonl") if record["split"] == split]
        self._pieces = [levels_of(record, work).half() for record in records]
        self._lengths = torch.tensor([float(piece.shape[1]) for piece in self._pieces])

    def crops(self, count: int, frames: int, generator: torch.Generator) -> Tensor:
        """Random crops [count, num_levels, LEVELS_PER_FRAME · frames]; silence follows pieces that are shorter."""
        length, crops = frames * LEVELS_PER_FRAME, []
        for index in torch.multinomial(self._lengths, count, replacement=True, generator=generator).tolist():
            piece = self._pieces[index]
            places = max(1, (piece.shape[1] - length) // LEVELS_PER_FRAME + 1)
            start = int(torch.randint(places, (1,), generator=generator)) * LEVELS_PER_FRAME
            crop = piece[:, start : start + length].float()
            crops.append(F.pad(crop, (0, length - crop.shape[1])))
        return torch.stack(crops)
