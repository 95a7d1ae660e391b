"""The music made for the bundled model: editing MIDI, composing, and preparing all pieces."""
# ruff: noqa: E402

import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import soundfile
import torch

mido = pytest.importorskip("mido", reason="needs recipes/nano/requirements.txt")

from heartmula_studio.errors import InvalidInputError
from recipes.nano import prepare
from recipes.nano.audio import SAMPLE_RATE_HZ
from recipes.nano.compose.composer import compose
from recipes.nano.compose.harmony import Key
from recipes.nano.compose.styles import STYLES
from recipes.nano.compose.styles_acoustic import JAZZ_TRIO, STRING_QUARTET
from recipes.nano.compose.styles_popular import METAL_RIFF
from recipes.nano.general_midi import DRUM_CHANNEL, instrument
from recipes.nano.manifest import Work, read_manifest
from recipes.nano.midi import change_tempo, listen, read_midi, transpose
from recipes.nano.tempo import tempo_class


def make_midi(notes: list[tuple[int, int]], program: int = 24) -> bytes:
    """Notes of one beat each, as (channel, pitch), one after the other at 120 bpm."""
    track = mido.MidiTrack([mido.Message("program_change", channel=0, program=program)])
    for channel, pitch in notes:
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=80))
        track.append(mido.Message("note_off", channel=channel, note=pitch, time=480))
    buffer = io.BytesIO()
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(file=buffer)
    return buffer.getvalue()


def pitches(midi: mido.MidiFile) -> list[int]:
    return [message.note for message in midi if message.type == "note_on"]


def events(midi: mido.MidiFile) -> list[str]:
    return [str(message) for track in midi.tracks for message in track]


class TestMidi:
    def test_transposes_pitched_notes_only(self):
        midi = read_midi(make_midi([(0, 60), (DRUM_CHANNEL, 38), (0, 126)]))
        transpose(midi, 3)
        assert pitches(midi) == [63, 38, 117]

    def test_changes_a_tempo_the_file_does_not_state(self):
        midi = read_midi(make_midi([(0, 60)] * 4))
        change_tempo(midi, 2.0)
        assert listen(midi).length_sec == pytest.approx(1.0)
        assert listen(midi).bpm == pytest.approx(240)

    def test_hears_how_long_each_instrument_sounds(self):
        sound = listen(read_midi(make_midi([(0, 60), (0, 62), (0, 64), (DRUM_CHANNEL, 38)])))
        assert sound.sounding_sec == pytest.approx({"acoustic guitar": 1.5, "drums": 0.5})
        assert sound.instruments == ["acoustic guitar", "drums"]

    def test_ignores_sound_effects(self):
        assert listen(read_midi(make_midi([(0, 60)], program=125))).instruments == []


class TestHarmony:
    def test_reads_numerals_in_major_and_minor(self):
        c_major, a_minor = Key(0, "major"), Key(9, "minor")
        assert c_major.chord("V7").pitch_classes == {7, 11, 2, 5}
        assert c_major.chord("bVII").pitch_classes == {10, 2, 5}
        assert a_minor.chord("iv").pitch_classes == {2, 5, 9}
        assert a_minor.chord("VI").pitch_classes == {5, 9, 0}

    @pytest.mark.parametrize("numeral", ["", "H", "IIX", "VIIII", "I13", "imaj7"])
    def test_refuses_unknown_chords(self, numeral):
        with pytest.raises(InvalidInputError):
            Key(0, "major").chord(numeral)


class TestCompose:
    def test_the_same_seed_gives_the_same_notes_and_another_gives_others(self):
        first, again, other = compose(JAZZ_TRIO, 1), compose(JAZZ_TRIO, 1), compose(JAZZ_TRIO, 2)
        assert first.work == again.work
        assert events(first.midi) == events(again.midi)
        assert events(first.midi) != events(other.midi)

    def test_notes_are_the_same_on_every_machine(self):
        assert compose(JAZZ_TRIO, 1).work.title == "Jazz trio in F sharp major, 149 bpm"

    @pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
    def test_plays_what_its_tags_say(self, style):
        composition = compose(style, 0)
        sound = listen(composition.midi)
        tags = composition.work.tags
        assert set(sound.sounding_sec) <= set(tags)
        assert {instrument(layer.program) for layer in style.layers} == set(sound.sounding_sec) - {"drums"}
        assert {"slow", "medium", "fast"} & set(tags) == {tempo_class(sound.bpm)}
        assert 38 <= sound.length_sec <= 68
        assert len(tags) == len(set(tags))

    def test_the_tune_stays_in_the_scale_and_ends_on_the_tonic(self):
        style = replace(STRING_QUARTET, layers=STRING_QUARTET.layers[:1])
        tonic = compose(style, 3).work.title.split(" in ")[1].split(" minor")[0]
        names = ("C", "D flat", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
        tune = [message.note for message in compose(style, 3).midi if message.type == "note_on" and message.velocity]
        scale = Key(names.index(tonic), "minor").pitch_classes
        outside = [pitch for pitch in tune if pitch % 12 not in scale]
        # Only the leading tone of the dominant chord lies outside.
        assert {pitch % 12 for pitch in outside} <= {(names.index(tonic) + 11) % 12}
        assert tune[-1] % 12 == names.index(tonic)

    def test_metal_has_the_drums_it_claims(self):
        drum_notes = [m for m in compose(METAL_RIFF, 0).midi if m.type == "note_on" and m.channel == DRUM_CHANNEL]
        assert len(drum_notes) > 200


def noise(log: Path, name: str) -> torch.Tensor:
    with log.open("a") as file:
        file.write(f"{name} ")
    return 0.1 * torch.randn(2, SAMPLE_RATE_HZ)


class TestPrepare:
    def piece(self, name: str, log: Path) -> prepare.Piece:
        return prepare.Piece(
            Work(name, name, "package", "MIT", "author", ("noise",), "recording"), partial(noise, log, name)
        )

    def test_writes_once_and_goes_on_where_it_stopped(self, tmp_path):
        log = tmp_path / "log"
        prepare.prepare([self.piece("a", log)], tmp_path, 1)
        records = prepare.prepare([self.piece("a", log), self.piece("b", log)], tmp_path, 1)
        assert log.read_text() == "a b "
        assert records == read_manifest(tmp_path / "manifest.jsonl")
        for record in records:
            info = soundfile.info(tmp_path / record["file"])
            assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE_HZ, 2, "PCM_16")
            assert info.duration == pytest.approx(record["duration_sec"], abs=1e-3)
        assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == ["a.flac", "b.flac"]
