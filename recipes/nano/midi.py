"""Edit Standard MIDI Files and read off what they sound like."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import mido

from recipes.nano.general_midi import DRUM_CHANNEL, instrument

DEFAULT_TEMPO_USEC = 500_000
MIN_SHARE = 0.04


def read_midi(content: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(content), clip=True)


def transpose(midi: mido.MidiFile, semitones: int) -> None:
    """Move every pitched note; a note that would leave MIDI's range moves by an octave less or more."""
    for message in messages(midi):
        if message.type in ("note_on", "note_off", "polytouch") and message.channel != DRUM_CHANNEL:
            note = message.note + semitones
            message.note = note - 12 if note > 127 else note + 12 if note < 0 else note


def change_tempo(midi: mido.MidiFile, factor: float) -> None:
    """Play the whole file `factor` times as fast."""
    if not any(message.type == "set_tempo" for message in messages(midi)):
        midi.tracks[0].insert(0, mido.MetaMessage("set_tempo", tempo=DEFAULT_TEMPO_USEC))
    for message in messages(midi):
        if message.type == "set_tempo":
            message.tempo = round(message.tempo / factor)


def messages(midi: mido.MidiFile) -> Iterator[mido.Message | mido.MetaMessage]:
    return (message for track in midi.tracks for message in track)


@dataclass(frozen=True)
class Sound:
    """What a MIDI file sounds like: `sounding_sec` adds up the notes of each instrument ("drums" for channel 10)."""

    length_sec: float
    bpm: float
    sounding_sec: Counter[str]

    def share(self, *words: str) -> float:
        """The part of all sounding time that these instruments have."""
        return sum(self.sounding_sec[word] for word in words) / max(self.sounding_sec.total(), 1e-9)

    @property
    def instruments(self) -> list[str]:
        """What is heard for at least 4 % of all sounding time, longest first; drums whenever they play."""
        ordered = [word for word, _ in self.sounding_sec.most_common()]
        return [word for word in ordered if word == "drums" or self.share(word) >= MIN_SHARE]


def listen(midi: mido.MidiFile) -> Sound:
    """Follow a MIDI file in time. Its tempo is the mean over the time each tempo lasts, in quarter notes a minute."""
    programs = [0] * 16
    started: dict[tuple[int, int], tuple[str, float]] = {}
    sounding: Counter[str] = Counter()
    now_sec, beats, tempo_usec = 0.0, 0.0, DEFAULT_TEMPO_USEC
    for message in midi:
        now_sec += message.time
        beats += message.time * 1e6 / tempo_usec
        if message.type == "set_tempo":
            tempo_usec = message.tempo
        elif message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            word, start_sec = started.pop((message.channel, message.note), ("", now_sec))
            sounding[word] += now_sec - start_sec
            if message.type == "note_on" and message.velocity > 0:
                word = "drums" if message.channel == DRUM_CHANNEL else instrument(programs[message.channel])
                started[message.channel, message.note] = (word, now_sec)
    del sounding[""]
    return Sound(now_sec, 60 * beats / now_sec if now_sec else 60e6 / tempo_usec, sounding)
