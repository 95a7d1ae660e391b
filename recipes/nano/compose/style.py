"""What a style is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from recipes.nano.compose.patterns import Pattern
from recipes.nano.general_midi import Drum, Program

PREFIX = "composed_"


@dataclass(frozen=True)
class Layer:
    """One instrument: what it plays, how loud (0 to 127), where (pan 0 to 127) and from which phrase on."""

    program: Program
    pattern: Pattern
    volume: int = 96
    pan: int = 64
    enters: int = 0


@dataclass(frozen=True)
class Style:
    """A recipe for pieces. `progressions` are Roman numerals, one chord a bar, for the A and the B sections.

    `swing` delays off-beat eighths by a part of a beat (0.17 is triplet swing); `loose_beats` is the spread of a
    player's timing, 0 for machines.
    """

    name: str
    tags: tuple[str, ...]
    bpm: tuple[int, int]
    mode: str
    progressions: tuple[str, str]
    layers: tuple[Layer, ...]
    drums: Mapping[Drum, str] = field(default_factory=dict)
    drums_enter: int = 0
    drum_fill: bool = True
    beats_per_bar: int = 4
    swing: float = 0.0
    loose_beats: float = 0.012

    @property
    def id(self) -> str:
        """The name as the ids of its pieces have it."""
        return self.name.replace(" ", "_").replace("-", "")

    def piece_id(self, seed: int | str) -> str:
        return f"{PREFIX}{self.id}_{seed}"


def style_of_piece(piece: str) -> str:
    """The id of the style of a composed piece, by the piece's."""
    return piece.removeprefix(PREFIX).rsplit("_", 1)[0]
