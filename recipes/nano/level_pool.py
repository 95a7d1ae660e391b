"""The levels of all training pieces in memory, and random crops of them, with what they sound like."""

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F

from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME
from recipes.nano.levels import levels_of
from recipes.nano.manifest import read_manifest
from recipes.nano.sizes import TONES

COMPOSED_EVERY = 5  # of the composed pieces: what people bring are recordings


class LevelPool:
    """Pieces of DIR/manifest.jsonl, by default all that are learnt from."""

    def __init__(self, work: Path, records: Sequence[dict] | None = None):
        self._records = training_records(work) if records is None else records
        self._work = work
        self._pieces = [levels_of(record, work).half() for record in self._records]
        self._lengths = torch.tensor([float(piece.shape[1]) for piece in self._pieces])

    def crops(self, count: int, frames: int, generator: torch.Generator) -> Tensor:
        """Random crops [count, num_levels, LEVELS_PER_FRAME · frames]; silence follows pieces that are shorter."""
        return self._levels(self._places(count, frames, generator), frames)

    def crops_with_sound(self, count: int, frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same, and their sound, [count, 2, samples]."""
        places = self._places(count, frames, generator)
        return self._levels(places, frames), torch.stack([self._sound_at(*place, frames) for place in places])

    def _places(self, count: int, frames: int, generator: torch.Generator) -> list[tuple[int, int]]:
        """Draw pieces, and the frame of each at which a crop begins."""
        places = []
        for index in torch.multinomial(self._lengths, count, replacement=True, generator=generator).tolist():
            starts = max(1, self._pieces[index].shape[1] // LEVELS_PER_FRAME - frames + 1)
            places.append((index, int(torch.randint(starts, (1,), generator=generator))))
        return places

    def _levels(self, places: Sequence[tuple[int, int]], frames: int) -> Tensor:
        return torch.stack([self._levels_at(*place, frames) for place in places])

    def _levels_at(self, index: int, start: int, frames: int) -> Tensor:
        length = frames * LEVELS_PER_FRAME
        crop = self._pieces[index][:, start * LEVELS_PER_FRAME :][:, :length].float()
        return F.pad(crop, (0, length - crop.shape[1]))

    def _sound_at(self, index: int, start: int, frames: int) -> Tensor:
        frame = LEVELS_PER_FRAME * TONES.hop_samples
        path = self._work / self._records[index]["file"]
        samples, _ = soundfile.read(path, frames * frame, start * frame, dtype="float32", always_2d=True)
        return F.pad(torch.from_numpy(samples).mT, (0, frames * frame - len(samples)))


def training_records(work: Path) -> list[dict]:
    return [record for record in read_manifest(work / "manifest.jsonl") if record["split"] == "train"]


def heard_records(records: Sequence[dict]) -> list[dict]:
    """All recordings and renderings, and some of the composed pieces."""
    composed = [record for record in records if record["kind"] == "composed"]
    return [record for record in records if record["kind"] != "composed"] + composed[::COMPOSED_EVERY]
