"""The data of the bundled model: parsing, composing, credits and the demo clips."""

import io
import json
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path

import mido
import pytest
import soundfile
import torch
import torchaudio

from heartmula_studio.errors import InvalidInputError
from recipes.nano import notice, prepare
from recipes.nano.audio import PEAK, SAMPLE_RATE_HZ, normalise, trim
from recipes.nano.clips import CLIPS
from recipes.nano.compose.composer import compose
from recipes.nano.compose.harmony import Key
from recipes.nano.compose.styles_acoustic import JAZZ_TRIO, STRING_QUARTET
from recipes.nano.compose.styles_acoustic import STYLES as ACOUSTIC_STYLES
from recipes.nano.compose.styles_popular import METAL_RIFF
from recipes.nano.compose.styles_popular import STYLES as POPULAR_STYLES
from recipes.nano.general_midi import DRUM_CHANNEL, instrument
from recipes.nano.manifest import Work, read_manifest
from recipes.nano.midi import change_tempo, listen, read_midi, tempo_class, transpose
from recipes.nano.recordings import recordings
from recipes.nano.wad import lumps, midi_lumps

MANIFEST = Path(notice.__file__).with_name("manifest.jsonl")
NOTICE = MANIFEST.with_name("NOTICE")
STYLES = [*ACOUSTIC_STYLES, *POPULAR_STYLES]


def make_wad(entries: dict[str, bytes]) -> bytes:
    offset, directory = 12, b""
    for name, content in entries.items():
        directory += struct.pack("<II8s", offset, len(content), name.encode())
        offset += len(content)
    return struct.pack("<4sII", b"PWAD", len(entries), offset) + b"".join(entries.values()) + directory


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


class TestWad:
    def test_finds_the_midi_lumps(self):
        wad = make_wad({"PLAYPAL": b"\1\2\3", "D_E1M1": b"MThd one", "D_RUNNIN": b"MThd two", "D_MUS": b"MUS\x1a"})
        assert dict(midi_lumps(wad)) == {"D_E1M1": b"MThd one", "D_RUNNIN": b"MThd two"}

    def test_reads_empty_lumps_and_full_length_names(self):
        assert list(lumps(make_wad({"EIGHTCHR": b"", "A": b"x"}))) == [("EIGHTCHR", b""), ("A", b"x")]

    @pytest.mark.parametrize("cut", [8, 20, -1])
    def test_refuses_a_cut_file(self, cut):
        with pytest.raises(InvalidInputError):
            list(lumps(make_wad({"D_E1M1": b"MThd one"})[:cut]))

    def test_refuses_a_lump_beyond_the_end(self):
        wad = struct.pack("<4sII", b"IWAD", 1, 12) + struct.pack("<II8s", 28, 100, b"D_E1M1")
        with pytest.raises(InvalidInputError, match="D_E1M1"):
            list(lumps(wad))


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


class TestAudio:
    def test_normalises_without_clipping(self):
        quiet = 0.01 * torch.randn(2, 2 * SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0))
        clicks = torch.zeros(2, 2 * SAMPLE_RATE_HZ)
        clicks[:, ::2000] = 0.5
        loudness_lufs = torchaudio.functional.loudness(normalise(quiet), SAMPLE_RATE_HZ).item()
        assert loudness_lufs == pytest.approx(-16, abs=0.1)
        assert normalise(clicks).abs().max().item() <= PEAK + 1e-6

    def test_trims_silence_and_fades_the_end(self):
        waveform = torch.zeros(2, 3 * SAMPLE_RATE_HZ)
        waveform[:, SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ] = 0.5
        trimmed = trim(waveform)
        assert trimmed.shape[1] == SAMPLE_RATE_HZ
        assert trimmed[0, 0] == 0.5
        assert trimmed[0, -1] == 0


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


class TestManifest:
    @pytest.fixture(autouse=True)
    def read(self):
        self.records = read_manifest(MANIFEST)

    def test_is_made_of_permissive_pieces_once_each(self):
        assert {record["licence"] for record in self.records} <= set(notice.LICENCES)
        assert len({record["id"] for record in self.records}) == len(self.records) > 150
        assert all(record["credit"] and record["title"] and record["tags"] for record in self.records)

    def test_agrees_with_the_table_of_recordings(self):
        table = {recording.work.id: recording for recording in recordings()}
        listed = {record["id"]: record for record in self.records if record["kind"] == "recording"}
        assert set(listed) == {identity for identity, recording in table.items() if recording.demo is None}
        for identity, record in listed.items():
            assert record == table[identity].work.record(record["duration_sec"])

    def test_holds_out_about_six_percent_and_versions_together(self):
        held_out = [record for record in self.records if record["split"] == "held_out"]
        assert 0.03 < len(held_out) / len(self.records) < 0.12
        splits: dict[str, set[str]] = {}
        for record in self.records:
            splits.setdefault(record["id"].split("--")[0], set()).add(record["split"])
        assert all(len(split) == 1 for split in splits.values())

    def test_keeps_the_demo_style_from_the_language_model(self):
        assert all(record["lm"] == (record["credit"] != "Kenta Cho") for record in self.records)

    def test_notice_is_generated_from_it(self):
        assert NOTICE.read_text(encoding="utf-8") == notice.notice(self.records)

    def test_notice_names_every_author_and_work(self):
        text = NOTICE.read_text(encoding="utf-8")
        assert all(record["credit"] in text for record in self.records)
        titles = {r["title"] for r in self.records if r["kind"] != "composed" and "--" not in r["id"]}
        assert {title for title in titles if title not in text} == set()


class TestClips:
    @pytest.fixture(autouse=True)
    def read(self):
        self.clips = json.loads((CLIPS / "clips.json").read_text(encoding="utf-8"))

    def files(self, demo: str) -> list[str]:
        return self.clips[demo]["files"]

    def test_six_in_one_style_and_one_in_another(self):
        assert len(self.files("style")) == 6
        assert len(self.files("other")) == 1
        assert all(self.clips[demo]["tags"] for demo in ("style", "other"))

    def test_are_short_stereo_and_unclipped(self):
        for name in [*self.files("style"), *self.files("other")]:
            samples, rate_hz = soundfile.read(CLIPS / name)
            assert rate_hz == 44_100
            assert samples.shape == (24 * rate_hz, 2)
            assert 0.5 < abs(samples).max() < 1.0

    def test_take_at_most_two_and_a_half_megabytes(self):
        assert sum(path.stat().st_size for path in CLIPS.rglob("*") if path.is_file()) <= 2_500_000

    def test_are_in_no_training_set(self):
        trained = {record["id"] for record in read_manifest(MANIFEST)}
        assert not trained & {Path(name).stem for name in [*self.files("style"), *self.files("other")]}

    def test_readme_credits_every_file(self):
        readme = (CLIPS / "README.md").read_text(encoding="utf-8")
        assert all(f"`{name}`" in readme for name in [*self.files("style"), *self.files("other")])
        assert "Kenta Cho" in readme
        assert "Redistributions in binary form must reproduce the above copyright notice" in readme
