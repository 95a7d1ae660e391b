"""Turn a style and a seed into a piece: the same notes every time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import mido

from recipes.nano.compose.harmony import Key
from recipes.nano.compose.note import Note
from recipes.nano.compose.patterns import Bar, Pattern, drums
from recipes.nano.compose.score import Part, to_midi
from recipes.nano.compose.style import Layer, Style
from recipes.nano.general_midi import instrument
from recipes.nano.manifest import Work
from recipes.nano.tempo import tempo_class

LENGTH_SEC = 50.0
FORM = "AABA"
KEY_NAMES = ("C", "D flat", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
VELOCITY_SPREAD = 5.0
DRUM_VOLUME = 120


@dataclass(frozen=True)
class Composition:
    work: Work
    midi: mido.MidiFile


def lay_out(style: Style, key: Key, bpm: int) -> list[list[Bar]]:
    """The phrases of a piece of about 50 s in AABA form, each a list of bars; the last bar closes on the tonic."""
    beats = style.beats_per_bar
    bars_per_phrase = len(style.progressions[0].split())
    count = max(2, round(LENGTH_SEC * bpm / 60 / beats / bars_per_phrase))
    phrases: list[list[Bar]] = []
    for phrase in range(count):
        letter = FORM[phrase % len(FORM)]
        numerals = style.progressions["AB".index(letter)].split()
        start = phrase * bars_per_phrase
        phrases.append(
            [Bar((start + i) * beats, beats, key.chord(numeral), key, i, letter) for i, numeral in enumerate(numerals)]
        )
    end = count * bars_per_phrase * beats
    tonic = style.progressions[0].split()[0]
    phrases[-1].append(Bar(end, beats, key.chord(tonic), key, 0, "A", last=True))
    return phrases


def swing(position_beats: float, amount: float) -> float:
    """Move off-beat eighths later by `amount` beats, and what lies between in proportion."""
    beat, part = divmod(position_beats, 1.0)
    bent = part * (0.5 + amount) / 0.5 if part < 0.5 else 1 - (1 - part) * (0.5 - amount) / 0.5
    return beat + bent


def perform(notes: Iterator[Note], style: Style, rng: Random) -> tuple[Note, ...]:
    """Play written notes as a person (or, where nothing is loose, a machine) would."""

    def play(note: Note) -> Note:
        start = max(0.0, swing(note.start_beats, style.swing) + rng.gauss(0, style.loose_beats))
        velocity = round(note.velocity + rng.gauss(0, VELOCITY_SPREAD))
        return Note(start, note.length_beats, note.pitch, max(1, min(velocity, 127)))

    return tuple(play(note) for note in notes)


def all_layers(style: Style) -> list[tuple[Layer | None, Pattern, int]]:
    """Each layer, its pattern and the phrase it enters in; None stands for the drum kit."""
    layers = [(layer, layer.pattern, layer.enters) for layer in style.layers]
    return [*layers, (None, drums(style.drums, style.drum_fill), style.drums_enter)] if style.drums else layers


def arrange(style: Style, phrases: Sequence[Sequence[Bar]], rng: Random) -> Iterator[Part]:
    for layer, pattern, enters in all_layers(style):
        bars = [bar for phrase in phrases[min(enters, len(phrases) - 1) :] for bar in phrase]
        notes = perform(pattern(bars, rng), style, rng)
        yield Part(None, notes, DRUM_VOLUME) if layer is None else Part(layer.program, notes, layer.volume, layer.pan)


def instruments(style: Style) -> list[str]:
    """The words for what plays, each once, in the order of the layers."""
    words = [instrument(layer.program) for layer in style.layers]
    return list(dict.fromkeys([*words, "drums"] if style.drums else words))


def compose(style: Style, seed: int | str) -> Composition:
    """Compose a piece. Its tags are the style's words, its instruments and the tempo class."""
    rng = Random(f"{style.name} {seed}")
    key = Key(rng.randrange(12), style.mode)
    bpm = rng.randint(*style.bpm)
    midi = to_midi(tuple(arrange(style, lay_out(style, key, bpm), rng)), bpm)
    name = KEY_NAMES[key.tonic]
    work = Work(
        id=style.piece_id(seed),
        title=f"{style.name.capitalize()} in {name} {style.mode}, {bpm} bpm",
        source_package="heartmula-studio",
        licence="Apache-2.0",
        credit="composed by recipes/nano/compose",
        tags=(*style.tags, *instruments(style), tempo_class(bpm), "instrumental"),
        kind="composed",
    )
    return Composition(work, midi)
