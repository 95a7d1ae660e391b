"""Token files: made once for each file and codec, then put together as what training reads."""

import pytest
import torch

from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.songs import load_songs
from heartmula_studio.dataset.tokenizing import TokenizingTask, current_tokens, save_dataset


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


def test_the_dataset_holds_songs_under_their_names(song, tmp_path):
    save_dataset([song], "codec", tmp_path / "dataset")
    (row,) = load_songs(tmp_path / "dataset", "codec").select_columns(["song", "lyrics", "tags"])
    assert row == {"song": "a b", "lyrics": "la la", "tags": "piano,happy"}
