"""What nano learns from: levels of pieces, in other keys and at other tempi."""

import math

import pytest
import torch

from heartmula_studio.arch.frames import FRAME_RATE_HZ
from heartmula_studio.arch.tone_bank import LEVELS_PER_FRAME, tone_levels
from heartmula_studio.dataset.windows import split_songs
from recipes.nano.audio import SAMPLE_RATE_HZ, write_flac
from recipes.nano.level_pool import LevelPool
from recipes.nano.levels import at_speed, levels_of, transposed
from recipes.nano.manifest import write_manifest
from recipes.nano.sizes import CODEC, TONES
from recipes.nano.versions import SEMITONES, STYLE_OF_ID, Version, even_speed, versions_of

COMPOSED = {
    "id": "composed_techno_20",
    "title": "Techno in C minor, 130 bpm",
    "tags": ["techno", "fast", "instrumental"],
    "kind": "composed",
}
RECORDED = {"id": "song", "title": "A song", "tags": ["rock", "medium"], "kind": "recording"}
TONE = {"id": "tone", "file": "tone.flac", "title": "A tone", "split": "train", "kind": "recording"}


@pytest.fixture
def work(tmp_path):
    """A folder that holds a second of A4, and 50 ms more."""
    second = torch.arange(round(1.05 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    write_flac(0.5 * torch.sin(2 * math.pi * 440 * second).expand(2, -1), tmp_path / "tone.flac")
    write_manifest([TONE], tmp_path / "manifest.jsonl")
    return tmp_path


class TestLevels:
    def test_a_piece_is_heard_once_in_whole_frames(self, work):
        heard = levels_of(TONE, work)
        assert heard.shape == (TONES.num_levels, 13 * LEVELS_PER_FRAME)
        assert heard.mean(1).argmax() == 69 - TONES.lowest_note
        (work / "tone.flac").unlink()
        assert torch.equal(levels_of(TONE, work), heard)

    def test_another_key_moves_tones_and_leaves_noises(self):
        levels = torch.arange(float(TONES.num_levels))[:, None].expand(-1, 4)
        higher, lower = transposed(levels, 2)[:, 0].tolist(), transposed(levels, -1)[:, 0].tolist()
        assert higher[:4] == [0, 0, 0, 1]
        assert lower[:3] == [1, 2, 3]
        assert higher[TONES.num_tones :] == lower[TONES.num_tones :] == levels[TONES.num_tones :, 0].tolist()

    def test_another_speed_is_longer_or_shorter_by_whole_frames(self):
        levels = torch.linspace(0, 1, 100 * LEVELS_PER_FRAME).expand(TONES.num_levels, -1)
        faster = at_speed(levels, 1.25)
        assert faster.shape[1] == 80 * LEVELS_PER_FRAME
        assert torch.equal(faster[:, [0, -1]], levels[:, [0, -1]])

    def test_crops_are_stretches_of_pieces_that_silence_follows(self, work):
        crops = LevelPool(work).crops(5, 20, torch.Generator().manual_seed(0))
        assert crops.shape == (5, TONES.num_levels, 20 * LEVELS_PER_FRAME)
        assert crops[..., 13 * LEVELS_PER_FRAME :].abs().max() == 0
        torch.testing.assert_close(crops[0, :, : 13 * LEVELS_PER_FRAME], levels_of(TONE, work))

    def test_crops_come_with_what_they_sound_like(self, work):
        levels, sounds = LevelPool(work).crops_with_sound(3, 10, torch.Generator().manual_seed(0))
        assert sounds.shape == (3, 2, 10 * CODEC.samples_per_frame)
        again = tone_levels(sounds.mean(1), TONES)
        middle = slice(8, -8)  # what lies before and behind a crop sounds into its ends
        torch.testing.assert_close(again[..., middle], levels[..., middle], atol=2e-3, rtol=0)


class TestVersions:
    def test_a_recording_keeps_its_tempo_in_some_keys(self):
        versions = list(versions_of(RECORDED))
        assert [version.semitones for version in versions] == list(SEMITONES)
        assert (versions[0].speed, versions[0].tags) == (1.0, ["rock", "medium"])

    def test_composed_pieces_are_in_two_keys_at_the_tempo_of_their_style(self):
        slower = COMPOSED | {"title": "Techno in A minor, 127 bpm"}
        for record, bpm in ((COMPOSED, 130), (slower, 127)):
            versions = list(versions_of(record))
            assert [version.semitones for version in versions] == [0, 2]
            assert [60 * FRAME_RATE_HZ / (bpm * version.speed) for version in versions] == pytest.approx([6, 6])

    @pytest.mark.parametrize("style", STYLE_OF_ID.values(), ids=STYLE_OF_ID)
    def test_the_tempo_of_a_style_is_near_those_it_is_composed_at(self, style):
        for bpm in style.bpm:
            record = {"id": f"composed_{style.id}_test1", "title": f"A piece, {bpm} bpm", "kind": "composed"}
            assert 0.8 < even_speed(record) < 1.26

    def test_the_tempo_class_follows_the_speed_where_the_title_tells_the_tempo(self):
        assert Version(COMPOSED, 0, 0.9).tags == ["techno", "medium", "instrumental"]
        assert Version(COMPOSED, 0, 0.6).tags == ["techno", "slow", "instrumental"]

    def test_a_tempo_class_that_may_be_wrong_is_left_out(self):
        assert Version(RECORDED, 0, 0.94).tags == ["rock"]

    def test_the_trainer_holds_out_all_versions_of_a_piece_or_none(self):
        ids = [f"song{number}{mark}" for number in range(20) for mark in ("", "--v2")]
        names = {version.song_name for id in ids for version in versions_of(RECORDED | {"id": id})}
        assert len(names) == 120
        learnt, held_out = ({name.split("--")[0] for name in part} for part in split_songs(sorted(names)))
        assert len(learnt & held_out) <= 1
        assert len(held_out) in (2, 3)

    def test_levels_are_those_of_the_piece_in_its_key_and_at_its_speed(self, work):
        levels = Version(TONE, 2, 1.3).levels(work)
        assert levels.shape == (TONES.num_levels, 10 * LEVELS_PER_FRAME)
        assert levels.mean(1).argmax() == 71 - TONES.lowest_note
