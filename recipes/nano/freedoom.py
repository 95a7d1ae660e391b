"""Freedoom's music: General MIDI pieces inside its WAD files, tagged by the instruments they really use."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import mido
from torch import Tensor

from recipes.nano.manifest import VERSION_MARK, Work
from recipes.nano.midi import Sound, change_tempo, listen, read_midi, transpose
from recipes.nano.synthesis import render
from recipes.nano.tempo import tempo_class
from recipes.nano.wad import midi_lumps

PACKAGE = "freedoom"
WADS = {
    "Freedoom: Phase 1": "usr/share/games/doom/freedoom1.wad",
    "Freedoom: Phase 2": "usr/share/games/doom/freedoom2.wad",
}
MIN_SEC = 20.0
MAX_INSTRUMENTS = 6
VERSIONS = 7
VERSION_EVERY = 5
# Semitones and tempo factors of the second versions, taken in turn.
CHANGES = ((2, 1.06), (-3, 0.92), (4, 1.1), (-2, 0.95))
ORCHESTRA = ("strings", "brass", "french horn", "timpani", "violin", "cello", "double bass", "trumpet")


@dataclass(frozen=True)
class Score:
    """A MIDI piece, and how this version of it differs from the file."""

    work: Work
    content: bytes
    semitones: int = 0
    tempo_factor: float = 1.0

    def midi(self) -> mido.MidiFile:
        return change(self.content, self.semitones, self.tempo_factor)

    def play(self, bank: Path) -> Tensor:
        """The piece played with a sound bank: [2, samples] at 24 kHz."""
        return render(self.midi(), bank)


def change(content: bytes, semitones: int, tempo_factor: float) -> mido.MidiFile:
    midi = read_midi(content)
    transpose(midi, semitones)
    change_tempo(midi, tempo_factor)
    return midi


def genre(sound: Sound) -> list[str]:
    """Genre and mood words that follow from the instruments that carry the piece."""
    drums = "drums" in sound.sounding_sec
    if drums and sound.share("distorted guitar") > 0.2:
        return ["metal", "heavy"]
    if sound.share("distorted guitar", "electric guitar") > 0.15:
        return ["rock", "energetic"]
    if sound.share("synth lead", "synthesizer", "synth bass") > 0.35:
        return ["electronic", "futuristic"]
    if sound.share(*ORCHESTRA) > 0.4:
        return ["orchestral", "cinematic"]
    return ["atmospheric"] if drums else ["ambient", "atmospheric"]


def tags(sound: Sound) -> tuple[str, ...]:
    heard = sound.instruments[:MAX_INSTRUMENTS]
    return (*genre(sound), *heard, tempo_class(sound.bpm), "instrumental", "game soundtrack")


def describe(game: str, number: int, slot: str, sound: Sound) -> Work:
    return Work(
        id=f"freedoom{number}_{slot.lower()}",
        title=f"{game}, {slot}",
        source_package=PACKAGE,
        licence="BSD-3-Clause",
        credit="Contributors to the Freedoom project",
        tags=tags(sound),
        kind="rendered",
    )


def scores(packages: Path) -> Iterator[Score]:
    """Every distinct MIDI piece that is long enough to learn from."""
    seen: set[bytes] = set()
    for number, (game, wad) in enumerate(WADS.items(), start=1):
        for name, content in midi_lumps((packages / PACKAGE / wad).read_bytes()):
            sound = listen(read_midi(content))
            if content not in seen and sound.length_sec >= MIN_SEC:
                yield Score(describe(game, number, name.removeprefix("D_"), sound), content)
            seen.add(content)


def vary(originals: Iterable[Score]) -> Iterator[Score]:
    """Seven of the pieces, every fifth, in another key and tempo."""
    chosen = islice(originals, 0, VERSIONS * VERSION_EVERY, VERSION_EVERY)
    for score, (semitones, factor) in zip(chosen, cycle(CHANGES), strict=False):
        sound = listen(change(score.content, semitones, factor))
        work = replace(
            score.work,
            id=f"{score.work.id}{VERSION_MARK}v2",
            title=f"{score.work.title} ({semitones:+d} semitones)",
            tags=tags(sound),
        )
        yield Score(work, score.content, semitones, factor)
