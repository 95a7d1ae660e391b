"""A note, in beats."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    start_beats: float
    length_beats: float
    pitch: int
    velocity: int
