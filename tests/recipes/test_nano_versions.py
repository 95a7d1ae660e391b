"""What nano learns from: pieces at other speeds, and pairs of codes and latents."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from heartmula_studio.arch.frames import LATENTS_PER_FRAME
from heartmula_studio.arch.heartcodec import HeartCodec
from heartmula_studio.dataset.windows import split_songs
from recipes.nano.audio import SAMPLE_RATE_HZ, read_stereo, write_flac
from recipes.nano.flow_pairs import PairPool, read_pair, write_pair
from recipes.nano.sizes import CODEBOOK_SIZE, CODEC, NUM_CODEBOOKS
from recipes.nano.versions import AS_WRITTEN, SPEEDS, Version

COMPOSED = {"id": "waltz", "title": "Waltz in C major, 125 bpm", "tags": ["waltz", "medium", "instrumental"]}
RECORDED = {"id": "song", "title": "A song", "tags": ["rock", "medium"]}


class TestVersions:
    def test_the_piece_itself_keeps_name_and_tags(self):
        version = Version(RECORDED, AS_WRITTEN)
        assert (version.name, version.tags) == ("song", ["rock", "medium"])

    def test_the_tempo_class_follows_the_speed_where_the_title_tells_the_tempo(self):
        assert Version(COMPOSED, Fraction(18, 17)).tags == ["waltz", "fast", "instrumental"]
        assert Version(COMPOSED, Fraction(17, 18)).tags == ["waltz", "medium", "instrumental"]

    def test_a_tempo_class_that_may_be_wrong_is_left_out(self):
        assert Version(RECORDED, Fraction(9, 8)).tags == ["rock"]

    def test_names_share_what_precedes_the_mark(self):
        assert Version(RECORDED, Fraction(9, 8)).name == "song--9_8"

    def test_the_trainer_holds_out_all_versions_of_a_piece_or_none(self):
        ids = [f"song{number}{mark}" for number in range(20) for mark in ("", "--v2")]
        names = {Version({"id": id}, speed).song_name for id in ids for speed in SPEEDS[:3]}
        assert len(names) == 120
        learnt, held_out = ({name.split("--")[0] for name in part} for part in split_songs(sorted(names)))
        assert len(learnt & held_out) <= 1
        assert len(held_out) in (2, 3)

    def test_a_faster_version_is_shorter_and_higher(self, tmp_path):
        second = torch.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        write_flac(0.5 * torch.sin(2 * torch.pi * 400 * second).expand(2, -1), tmp_path / "tone.flac")
        with Version({"id": "tone", "file": "tone.flac"}, Fraction(9, 8)).audio_file(tmp_path) as path:
            faster = read_stereo(path)[0]
        assert len(faster) == pytest.approx(SAMPLE_RATE_HZ * 8 / 9, abs=1)
        loudest = torch.fft.rfft(faster).abs().argmax().item() * SAMPLE_RATE_HZ / len(faster)
        assert loudest == pytest.approx(450, abs=2)


class TestPairs:
    @pytest.fixture
    def pair(self):
        generator = torch.Generator().manual_seed(0)
        codes = torch.randint(CODEBOOK_SIZE, (NUM_CODEBOOKS, 51), generator=generator)
        latents = torch.rand(100, CODEC.flow.out_channels, generator=generator) * 2 - 1
        return codes.short(), latents

    def test_a_pair_read_back_sounds_the_same(self, pair, tmp_path):
        codes, latents = pair
        write_pair(tmp_path / "a.npz", codes, latents)
        read_codes, ninths = read_pair(tmp_path / "a.npz")
        assert torch.equal(read_codes.short(), codes[:, :50])
        torch.manual_seed(0)
        codec = HeartCodec(CODEC).eval()
        with torch.no_grad():
            heard, written = (codec.decode_latents(part[None]) for part in (ninths / 9, latents))
        assert torch.equal(heard, written)

    def test_crops_are_stretches_of_one_piece_with_their_codes(self, tmp_path):
        for number, frames in enumerate((10, 7, 3)):
            codes = (10 * number + torch.arange(frames)).expand(NUM_CODEBOOKS, -1)
            latents = codes[0].repeat_interleave(LATENTS_PER_FRAME)[:, None].expand(-1, 4) / 9
            write_pair(tmp_path / f"{number}.npz", codes, latents)
        pool = PairPool(tmp_path, 5, torch.device("cpu"))
        codes, latents = pool.crops(200, 5, np.random.default_rng(0))
        assert codes.shape == (200, 5, NUM_CODEBOOKS)
        assert torch.equal((9 * latents[:, ::2, 0]).round().long(), codes[..., 0])
        assert torch.equal(codes.diff(dim=1), torch.ones(200, 4, NUM_CODEBOOKS, dtype=torch.long))
        assert set(codes[:, 0, 0].tolist()) == {*range(6), *range(10, 13)}
