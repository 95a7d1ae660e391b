"""How an instrument plays over chords: written grids, walking bass, invented melodies, drums.

A pattern is a function of the bars and a random generator. A grid is a string with one character for each equal step
of a bar, `|` between bars that alternate: `.` silence, `-` the note goes on, `x` the chord, `1 3 5 7 8 0` chord notes
(see Chord.tone); in drum grids `X` is loud, `x` normal, `o` soft.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from random import Random

from recipes.nano.compose.harmony import Chord, Key
from recipes.nano.compose.note import Note
from recipes.nano.general_midi import Drum

BARS_PER_PHRASE = 4
DRUM_VELOCITIES = {"X": 112, "x": 92, "o": 58}
FILL = ((3.0, Drum.HIGH_TOM), (3.25, Drum.HIGH_TOM), (3.5, Drum.MIDDLE_TOM), (3.75, Drum.LOW_TOM))
STEPS = (-2, -1, -1, 1, 1, 2)


@dataclass(frozen=True)
class Bar:
    """One bar: `index` counts within its phrase, `letter` names the section, `last` is the closing chord."""

    start_beats: float
    length_beats: float
    chord: Chord
    key: Key
    index: int
    letter: str
    last: bool = False


Pattern = Callable[[Sequence[Bar], Random], Iterator[Note]]


def steps(bar: Bar, text: str) -> Iterator[tuple[str, float, float]]:
    """Character, start and length in beats of everything that sounds in one bar's grid."""
    step = bar.length_beats / len(text)
    for index, character in enumerate(text):
        if character not in ".-":
            held = len(list(takewhile(lambda c: c == "-", text[index + 1 :])))
            yield character, bar.start_beats + index * step, (1 + held) * step


def grid(text: str, low: int, velocity: int = 80) -> Pattern:
    """Play a written grid; the last bar holds the chord where the grid has chords, else its root."""
    texts = text.split("|")
    closing = "x" if "x" in text else "1"

    def play(bars: Sequence[Bar], rng: Random) -> Iterator[Note]:
        for bar in bars:
            line = closing if bar.last else texts[bar.index % len(texts)]
            for character, start, length in steps(bar, closing.ljust(len(line), "-") if bar.last else line):
                accent = 8 if start == bar.start_beats else 0
                pitches = bar.chord.voicing(low) if character == "x" else [bar.chord.tone(character, low)]
                yield from (Note(start, length * 0.95, pitch, velocity + accent) for pitch in pitches)

    return play


def walking(low: int, velocity: int = 84) -> Pattern:
    """A jazz bass: root, two other chord notes, then a half-tone step into the next root."""

    def play(bars: Sequence[Bar], rng: Random) -> Iterator[Note]:
        for bar, following in zip(bars, [*bars[1:], None], strict=True):
            root = bar.chord.tone("1", low)
            line = [root, bar.chord.tone(rng.choice("35"), low), bar.chord.tone(rng.choice("57"), low)]
            if following is None:
                yield Note(bar.start_beats, bar.length_beats, root, velocity)
                return
            line.append(following.chord.tone("1", low) + rng.choice((-1, 1)))
            for beat, pitch in enumerate(line):
                yield Note(bar.start_beats + beat, 0.9, pitch, velocity + 6 * (beat % 2))

    return play


def nearest(pitch: int, pitch_classes: frozenset[int], low: int, high: int) -> int:
    candidates = [candidate for candidate in range(low, high + 1) if candidate % 12 in pitch_classes]
    return min(candidates, key=lambda candidate: (abs(candidate - pitch), candidate))


def scale_step(pitch: int, step: int, key: Key, low: int, high: int) -> int:
    """The note `step` scale degrees away, turning back at the ends of the range."""
    scale = [candidate for candidate in range(low, high + 1) if candidate % 12 in key.pitch_classes]
    index = scale.index(nearest(pitch, key.pitch_classes, low, high)) + step
    return scale[index] if 0 <= index < len(scale) else scale[max(0, min(index - 2 * step, len(scale) - 1))]


def melody(rhythms: Sequence[str], low: int, velocity: int = 92) -> Pattern:
    """Invent a tune: each section has its own motifs, which return over other chords.

    Notes on the beat belong to the chord, the others move by step; the phrase's third bar repeats its first.
    """
    high = low + 19

    def play(bars: Sequence[Bar], rng: Random) -> Iterator[Note]:
        motifs: dict[tuple[str, int], tuple[str, list[int]]] = {}
        pitch = nearest(low + 9, bars[0].chord.pitch_classes, low, high)
        for bar in bars:
            if bar.last:
                yield Note(bar.start_beats, bar.length_beats, nearest(pitch, {bar.key.tonic}, low, high), velocity)
                return
            place = bar.index % BARS_PER_PHRASE
            name = (bar.letter, 0 if place == 2 else place)
            if name not in motifs:
                rhythm = rhythms[-1] if place == 3 else rng.choice(rhythms)
                motifs[name] = rhythm, [rng.choice(STEPS) for _ in rhythm]
            rhythm, moves = motifs[name]
            for move, (_, start, length) in zip(moves, steps(bar, rhythm), strict=False):
                pitch = scale_step(pitch, move, bar.key, low, high)
                if (start - bar.start_beats) % 1 == 0:
                    pitch = nearest(pitch, bar.chord.pitch_classes, low, high)
                yield Note(start, length * 0.95, pitch, velocity)

    return play


def drums(lanes: Mapping[Drum, str], fill: bool = True) -> Pattern:
    """Play drum grids, with a roll over the toms at the end of every phrase of four bars."""

    def play(bars: Sequence[Bar], rng: Random) -> Iterator[Note]:
        for bar in bars:
            if bar.last:
                yield from (Note(bar.start_beats, 1, drum, 100) for drum in (Drum.KICK, Drum.CRASH))
                return
            filling = fill and bar.index % BARS_PER_PHRASE == BARS_PER_PHRASE - 1 and bar.length_beats == 4
            if fill and bar.index == 0:
                yield Note(bar.start_beats, 1, Drum.CRASH, 88)
            for drum, text in lanes.items():
                line = text.split("|")[bar.index % len(text.split("|"))]
                for character, start, _ in steps(bar, line):
                    if not (filling and start >= bar.start_beats + FILL[0][0]):
                        yield Note(start, 0.2, drum, DRUM_VELOCITIES[character])
            if filling:
                yield from (Note(bar.start_beats + beat, 0.2, drum, 96) for beat, drum in FILL)

    return play
