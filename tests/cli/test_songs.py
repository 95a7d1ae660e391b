"""A folder of songs as a person has it."""

import pytest

from heartmula_studio.cli.songs import find_songs
from heartmula_studio.errors import InvalidInputError, NotFoundError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp3", "a.FLAC", "c.wav", "notes.pdf", "a.txt", "c.lrc", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a.txt").write_text("[verse]\nla", encoding="utf-8")
    (tmp_path / "c.lrc").write_text("[00:01.00]timed", encoding="utf-8")
    return tmp_path


def test_songs_come_in_order_with_the_lyrics_of_their_name(folder):
    songs = find_songs(folder)
    assert [song.path.name for song in songs] == ["a.FLAC", "b.mp3", "c.wav"]
    assert [song.lyrics for song in songs] == ["[verse]\nla", "", "[00:01.00]timed"]


def test_too_few_songs_are_counted(folder):
    with pytest.raises(InvalidInputError, match="3 of the 5"):
        find_songs(folder, minimum=5)


def test_two_songs_of_one_name_are_refused(folder):
    (folder / "a.ogg").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="called a"):
        find_songs(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        find_songs(tmp_path / "nowhere")
