"""Token files: made once for each file and codec, then put together as what training reads."""

from dataclasses import replace

import pytest
import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.codec.track_version import track_version
from heartmula_studio.dataset.songs import load_songs, song_versions
from heartmula_studio.dataset.tokenizing import (
    TokenizingTask,
    add_versions,
    current_tokens,
    missing_versions,
    save_dataset,
    tokenize,
)
from heartmula_studio.files.hashing import file_sha256
from tests.recordings import SONGS


@pytest.fixture
def song(tmp_path):
    """A song whose tokens are those of the codec `codec`."""
    source = TokenizingTask(tmp_path / "a.wav", tmp_path / "tokens" / "a b.pt", "sha", "la la", "piano, happy")
    Tokens(torch.ones(8, 20, dtype=torch.int16), 12.5, "codec", "sha", 1.6).save(source.tokens)
    return source


def test_tokens_of_the_same_file_and_codec_are_current(song):
    assert current_tokens(song, "codec").codes.shape == (8, 20)


def test_tokens_of_another_codec_or_file_or_damaged_ones_are_not(song, tmp_path):
    assert current_tokens(song, "other") is None
    assert current_tokens(TokenizingTask(song.audio, song.tokens, "changed"), "codec") is None
    assert current_tokens(TokenizingTask(song.audio, tmp_path / "none.pt", "sha"), "codec") is None
    song.tokens.write_bytes(song.tokens.read_bytes()[:100])
    assert current_tokens(song, "codec") is None


def test_versions_are_encoded_once_and_reach_the_dataset(tmp_path):
    codec, clip = Codec.load(find_base("nano")), SONGS[0]
    source = TokenizingTask(clip, tmp_path / "clip.pt", file_sha256(clip))
    tokens = add_versions(source, tokenize(source, codec, AudioLimits()), 3, codec)
    stored = current_tokens(source, codec.codec_id)
    assert not missing_versions(stored, 3)
    assert list(missing_versions(stored, 5)) == [3, 4]
    assert add_versions(source, stored, 2, codec) is stored  # fewer than there are

    save_dataset([source], codec.codec_id, tmp_path / "dataset")
    for one, read in zip(tokens.versions, song_versions(load_songs(tmp_path / "dataset"), 0), strict=True):
        assert read.version == one.version
        assert torch.equal(read.codes, one.codes)
        assert read.version.speed == pytest.approx(track_version(tokens.versions.index(one) + 1).speed, abs=0.01)
        assert read.version.source_sec(one.codes.shape[1]) == pytest.approx(tokens.source_sec, abs=0.1)


@pytest.mark.parametrize(("said", "learnt"), [(None, False), (True, True), (False, False)])
def test_what_a_person_says_of_the_ending_is_learnt(song, tmp_path, said, learnt):
    save_dataset([replace(song, ends=said)], "codec", tmp_path / "dataset")
    assert load_songs(tmp_path / "dataset")["ends"] == [learnt]


def test_datasets_without_versions_are_read_as_before(song, tmp_path):
    save_dataset([song], "codec", tmp_path / "dataset")
    dataset = load_songs(tmp_path / "dataset")
    assert song_versions(dataset, 0) == song_versions(dataset.remove_columns("versions"), 0) == ()


def test_the_dataset_holds_songs_under_their_names(song, tmp_path):
    save_dataset([song], "codec", tmp_path / "dataset")
    (row,) = load_songs(tmp_path / "dataset", "codec").select_columns(["song", "lyrics", "tags"])
    assert row == {"song": "a b", "lyrics": "la la", "tags": "piano,happy"}
