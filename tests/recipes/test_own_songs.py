"""Which of its own songs a base learns from."""

import random

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.codec import Codec
from heartmula_studio.settings import BUNDLED_BASE
from recipes.nano.manifest import read_manifest
from recipes.nano.own_songs import OwnSong, is_good, prompts, some_tags
from recipes.nano.prepare_model import OWN_SONG_TIMES, own_rows
from tests.recipes.conftest import write_work

TAGS = ["techno", "fast", "dark", "instrumental"]


@pytest.fixture(scope="module")
def codec():
    return Codec.load(find_base(BUNDLED_BASE))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return write_work(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def piece(work):
    return read_manifest(work / "manifest.jsonl")[1]


@pytest.fixture(scope="module")
def codes(codec, work, piece) -> torch.Tensor:
    """Those of the piece."""
    return codec.encode_file(work / piece["file"]).codes


def test_a_song_as_good_as_the_piece_is_kept(codec, work, piece, codes):
    assert is_good(codes, codec, piece, work)


def test_a_song_that_has_lost_the_beat_is_not(codec, work, piece, codes):
    shuffled = codes[:, torch.randperm(codes.shape[1], generator=torch.Generator().manual_seed(0))]
    assert not is_good(shuffled, codec, piece, work)


def test_a_song_that_fades_away_is_not(codec, work, piece, codes):
    silence = codec.heartcodec.quantize(codec.heartcodec.encode_window(torch.zeros(1, 2, 1920)))[0]
    assert not is_good(torch.cat((codes, silence.expand(-1, codes.shape[1] // 4)), dim=1), codec, piece, work)


def test_prompts_are_the_same_for_the_same_number_only():
    records = [{"id": str(number), "tags": [f"{number} {tag}" for tag in TAGS]} for number in range(30)]
    assert prompts(records, 1) == prompts(records, 1) != prompts(records, 2)


def test_some_prompts_have_all_tags_and_some_fewer_but_never_none():
    draw = random.Random(0)
    drawn = [some_tags(TAGS, draw) for _ in range(200)]
    assert {len(tags) for tags in drawn} >= {2, 3, 4}
    assert all(set(tags) <= set(TAGS) and len(set(tags)) == len(tags) > 0 for tags in drawn)
    assert len({tuple(tags) for tags in drawn if len(tags) == len(TAGS)}) > 10


class TestRows:
    def test_codes_of_the_same_codec_are_learnt_as_they_are(self, codec):
        song = OwnSong("tune", TAGS, codec.codec_id, torch.randint(256, (8, 40)))
        rows = list(own_rows([song], codec, codec))
        assert len({row["song"] for row in rows}) == len(rows) == OWN_SONG_TIMES
        assert all(row["codes"].equal(song.codes.short()) and row["tags"] == TAGS for row in rows)

    def test_codes_of_the_base_before_are_told_anew(self, codec):
        before = Codec(codec.heartcodec, "the one before")
        song = OwnSong("tune", TAGS, before.codec_id, torch.randint(256, (8, 40)))
        row = next(own_rows([song], codec, before))
        assert row["codes"].shape == song.codes.shape
        assert row["codec"] == codec.codec_id
        assert not row["codes"].equal(song.codes.short())

    def test_codes_of_any_other_codec_are_refused(self, codec):
        song = OwnSong("tune", TAGS, "another", torch.randint(256, (8, 40)))
        with pytest.raises(SystemExit, match="another"):
            list(own_rows([song], codec, codec))
