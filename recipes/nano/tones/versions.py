"""Pieces in other keys and at other tempi: more of both for the language model.

Tones have levels of their own, so neither costs anything, and neither changes the other. Versions of a piece share what
precedes `--` in their names. The trainer, which holds songs out by a hash of what they are called, is told `song_name`,
so that it holds out all versions of a piece or none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from recipes.nano.manifest import VERSION_MARK
from recipes.nano.tones.levels import at_speed, levels_of, transposed
from recipes.nano.versions import held_out_alike, tags_at, told_bpm

SEMITONES = (0, 2, -2, 1, -1)
SPEEDS = (1.0, 1.06, 0.94, 1.0, 1.0)
"""Of pieces whose tempo nobody knows, one for each of `SEMITONES`."""
FRAMES_PER_BEAT = (4, 5, 6, 7, 8, 9, 10, 12)


@dataclass(frozen=True)
class Version:
    """A piece of the manifest so many semitones higher and so many times as fast."""

    record: dict
    semitones: int
    speed: float

    @property
    def name(self) -> str:
        return f"{self.record['id']}{VERSION_MARK}{self.semitones}_{round(1000 * self.speed)}"

    @property
    def song_name(self) -> str:
        return held_out_alike(self.name, self.record["id"])

    @property
    def tags(self) -> list[str]:
        return tags_at(self.record, self.speed)

    def levels(self, work: Path) -> Tensor:
        """[num_levels, LEVELS_PER_FRAME · frames]"""
        return at_speed(transposed(levels_of(self.record, work), self.semitones), self.speed)


def versions_of(record: dict) -> Iterator[Version]:
    """Yield a piece in each key, where its tempo is told at such ones that each beat fills whole frames.

    Then a pattern is the same codes wherever it comes back, which is what a model learns a beat from first.
    """
    bpm = told_bpm(record)
    speeds = SPEEDS if bpm is None else [speed for _ in SEMITONES for speed in even_speeds(bpm)]
    for semitones, speed in zip(SEMITONES, speeds, strict=False):
        yield Version(record, semitones, speed)


def even_speeds(bpm: float) -> tuple[float, float]:
    """The two smallest changes after which beats fill whole frames, the smaller one first."""
    speeds = sorted((60 * FRAME_RATE_HZ / frames / bpm for frames in FRAMES_PER_BEAT), key=lambda s: max(s, 1 / s))
    return speeds[0], speeds[1]
