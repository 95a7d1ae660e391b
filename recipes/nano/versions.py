"""Pieces in other keys and at other tempi: more of both for the language model.

Tones have levels of their own, so neither costs anything, and neither changes the other. Versions of a piece share what
precedes `--` in their names. The trainer, which holds songs out by a hash of what they are called, is told `song_name`,
so that it holds out all versions of a piece or none.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path

from torch import Tensor

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from recipes.nano.compose.style import style_of_piece
from recipes.nano.compose.styles import STYLES
from recipes.nano.levels import at_speed, levels_of, transposed
from recipes.nano.manifest import VERSION_MARK
from recipes.nano.tempo import TEMPO_CLASSES, tempo_class

SEMITONES = (0, 2, -2)
SPEEDS = (1.0, 1.06, 0.94)
"""Of pieces whose tempo nobody knows, one for each of `SEMITONES`."""
MOST_COMPOSED = 2  # versions of a composed piece: there are as many pieces in other keys as one likes
FRAMES_PER_BEAT = (4, 5, 6, 7, 8, 9, 10, 12)
STYLE_OF_ID = {style.id: style for style in STYLES}


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
    """Yield a piece in some keys, a composed one at the tempo of its style at which each beat fills whole frames.

    Then a pattern is the same codes wherever it comes back, and a style has one distance after which it does: that is
    what a model learns a beat from first.
    """
    if record["kind"] == "composed":
        speed = even_speed(record)
        yield from (Version(record, semitones, speed) for semitones in SEMITONES[:MOST_COMPOSED])
    else:
        yield from map(Version, repeat(record), SEMITONES, SPEEDS)


def even_speed(record: dict) -> float:
    """How many times as fast a composed piece of the manifest is at the tempo that all pieces of its style share."""
    style = STYLE_OF_ID[style_of_piece(record["id"])]
    usual = sum(style.bpm) / 2
    frames = min(FRAMES_PER_BEAT, key=lambda frames: abs(math.log(60 * FRAME_RATE_HZ / frames / usual)))
    return 60 * FRAME_RATE_HZ / frames / told_bpm(record)


def held_out_alike(name: str, piece: str) -> str:
    """The name of a version with a number behind it that makes its hash begin as that of the piece's id does.

    `dataset.windows.split_songs` holds out the first tenth in the order of hashes: only the piece at its end can have
    versions on both sides.
    """
    wanted = hash_begins(piece.split(VERSION_MARK)[0])
    names = (name if number == 0 else f"{name}.{number}" for number in count())
    return next(name for name in names if hash_begins(name) == wanted)


def hash_begins(name: str) -> str:
    """The first twelve bits, as hexadecimal digits: 4096 places, for a few hundred pieces."""
    return hashlib.sha256(name.encode()).hexdigest()[:3]


def tags_at(record: dict, speed: float) -> list[str]:
    """A piece's tags; the tempo class changes with the speed where the title tells the tempo, else it is left out."""
    if speed == 1:
        return record["tags"]
    bpm = told_bpm(record)
    tempo = [] if bpm is None else [tempo_class(bpm * speed)]
    return [word for tag in record["tags"] for word in (tempo if tag in TEMPO_CLASSES else [tag])]


def told_bpm(record: dict) -> int | None:
    """The tempo in a piece's title, if it is there."""
    told = re.search(r"(\d+) bpm$", record["title"])
    return int(told[1]) if told else None
