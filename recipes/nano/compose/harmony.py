"""Keys and chords. Pitches are MIDI note numbers; chords are written as Roman numerals in a key."""

import re
from dataclasses import dataclass

from heartmula_studio.errors import InvalidInputError

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}
MINOR_MODES = ("minor", "dorian", "phrygian")
DEGREES = ("I", "II", "III", "IV", "V", "VI", "VII")
NUMERAL = re.compile(r"(b?)([IV]+|[iv]+)(\D*\d*)")
# Intervals above the root, for upper-case (major) and lower-case (minor) numerals.
MAJOR_QUALITIES = {
    "": (0, 4, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 7, 10, 14),
    "maj7": (0, 4, 7, 11),
    "sus4": (0, 5, 7),
}
MINOR_QUALITIES = {"": (0, 3, 7), "6": (0, 3, 7, 9), "7": (0, 3, 7, 10), "9": (0, 3, 7, 10, 14), "dim": (0, 3, 6)}


@dataclass(frozen=True)
class Key:
    """A tonic (pitch class 0 to 11) and the name of a scale."""

    tonic: int
    mode: str

    @property
    def pitch_classes(self) -> frozenset[int]:
        return frozenset((self.tonic + step) % 12 for step in SCALES[self.mode])

    def chord(self, numeral: str) -> "Chord":
        """Read a numeral such as `I`, `ii7`, `bVII`, `Vsus4`. Raises InvalidInputError for an unknown one."""
        match = NUMERAL.fullmatch(numeral)
        qualities = MINOR_QUALITIES if match and match[2].islower() else MAJOR_QUALITIES
        if match is None or match[2].upper() not in DEGREES or match[3] not in qualities:
            raise InvalidInputError(f"{numeral!r} is not a chord.", f"Allowed endings: {', '.join(qualities)}.")
        # Numerals count from the plain major or minor scale, whatever mode the tune is in.
        steps = SCALES["minor" if self.mode in MINOR_MODES else "major"]
        root = self.tonic + steps[DEGREES.index(match[2].upper())] - len(match[1])
        return Chord(root % 12, qualities[match[3]])


@dataclass(frozen=True)
class Chord:
    """A root (pitch class) and the intervals above it."""

    root: int
    intervals: tuple[int, ...]

    @property
    def pitch_classes(self) -> frozenset[int]:
        return frozenset((self.root + interval) % 12 for interval in self.intervals)

    def voicing(self, low: int) -> list[int]:
        """Every note of the chord in the octave from `low` up, so voices move little from chord to chord."""
        return sorted(low + (pitch_class - low) % 12 for pitch_class in self.pitch_classes)

    def tone(self, digit: str, low: int) -> int:
        """One note above a root in the octave from `low`: 1, 3, 5, 7 as in the chord, 8 and 0 are 1 and 3 above."""
        root = low + (self.root - low) % 12
        index = {"1": 0, "3": 1, "5": 2, "7": 3, "8": 0, "0": 1}[digit]
        octave = 12 if digit in "80" else 0
        if index >= len(self.intervals):
            return root + (12 if digit == "7" else self.intervals[-1])
        return root + octave + self.intervals[index]
