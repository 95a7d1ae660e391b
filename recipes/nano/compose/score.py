"""The MIDI file that notes make."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import mido

from recipes.nano.compose.note import Note
from recipes.nano.general_midi import DRUM_CHANNEL

TICKS_PER_BEAT = 480


@dataclass(frozen=True)
class Part:
    """One instrument's notes. `program` None is the drum kit; pan runs from 0 (left) to 127 (right)."""

    program: int | None
    notes: tuple[Note, ...]
    volume: int = 100
    pan: int = 64


def track(part: Part, channel: int) -> mido.MidiTrack:
    events = [
        mido.Message("control_change", channel=channel, control=7, value=part.volume),
        mido.Message("control_change", channel=channel, control=10, value=part.pan),
    ]
    if part.program is not None:
        events.append(mido.Message("program_change", channel=channel, program=part.program))
    now = 0
    for tick, velocity, pitch in sorted(note_events(part.notes)):
        events.append(mido.Message("note_on", channel=channel, note=int(pitch), velocity=velocity, time=tick - now))
        now = tick
    return mido.MidiTrack(events)


def note_events(notes: Iterable[Note]) -> Iterator[tuple[int, int, int]]:
    """Tick, velocity and pitch; velocity 0 ends a note and sorts first, so a repeated pitch starts anew."""
    for note in notes:
        yield round(note.start_beats * TICKS_PER_BEAT), note.velocity, note.pitch
        yield round((note.start_beats + note.length_beats) * TICKS_PER_BEAT), 0, note.pitch


def to_midi(parts: Sequence[Part], bpm: float) -> mido.MidiFile:
    """A type 1 file with one track a part; beats are quarter notes."""
    assert len(parts) < 16, f"MIDI has 16 channels, not {len(parts)}"
    midi = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    midi.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))]))
    channels = iter(channel for channel in range(16) if channel != DRUM_CHANNEL)
    for part in parts:
        midi.tracks.append(track(part, DRUM_CHANNEL if part.program is None else next(channels)))
    return midi
