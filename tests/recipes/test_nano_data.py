"""The data of the bundled model: WAD files, audio, the manifest, its credits and the demo clips."""

import json
import struct
from pathlib import Path

import pytest
import soundfile
import torch
import torchaudio

from heartmula_studio.errors import InvalidInputError
from recipes.nano import notice
from recipes.nano.audio import PEAK, SAMPLE_RATE_HZ, normalise, trim
from recipes.nano.clips import CLIPS
from recipes.nano.manifest import read_manifest
from recipes.nano.recordings import recordings
from recipes.nano.tag_contrast import TAGS
from recipes.nano.wad import lumps, midi_lumps

MANIFEST = Path(notice.__file__).with_name("manifest.jsonl")
NOTICE = MANIFEST.with_name("NOTICE")


def make_wad(entries: dict[str, bytes]) -> bytes:
    offset, directory = 12, b""
    for name, content in entries.items():
        directory += struct.pack("<II8s", offset, len(content), name.encode())
        offset += len(content)
    return struct.pack("<4sII", b"PWAD", len(entries), offset) + b"".join(entries.values()) + directory


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

    def test_holds_out_about_six_percent_of_what_is_not_composed_and_versions_together(self):
        others = [record for record in self.records if record["kind"] != "composed"]
        held_out = [record for record in others if record["split"] == "held_out"]
        assert 0.03 < len(held_out) / len(others) < 0.12
        splits: dict[str, set[str]] = {}
        for record in self.records:
            splits.setdefault(record["id"].split("--")[0], set()).add(record["split"])
        assert all(len(split) == 1 for split in splits.values())

    def test_keeps_the_demo_style_from_the_language_model(self):
        assert all(record["lm"] == (record["credit"] != "Kenta Cho") for record in self.records)

    @pytest.mark.parametrize("tag", TAGS)
    def test_tags_that_are_told_apart_are_learnt_and_have_enough_unheard_pieces(self, tag):
        tagged = [record for record in self.records if tag in record["tags"]]
        assert any(record["split"] == "train" and record["lm"] for record in tagged)
        assert sum(record["split"] != "train" for record in tagged) >= 5

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
