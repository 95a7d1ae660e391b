"""A folder of songs as a person has it, and the songs of the studio."""

import zipfile

import pytest
import torch

from heartmula_studio.cli import main
from heartmula_studio.cli.songs import find_songs
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.cover import read_cover
from heartmula_studio.codec.tags import read_tags
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.store.records import Generation, utc_now
from heartmula_studio.store.store import Store
from tests.pictures import picture


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


def test_songs_of_the_studio_are_found_named_starred_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEARTMULA_DATA_DIR", str(tmp_path / "data"))
    songs = Store(tmp_path / "data").generations
    for id, tags in (("one", "slow, piano"), ("two", "fast")):
        song = songs.create(Generation(id, {"tags": tags}, "wav", utc_now(), "completed", duration_sec=1.0))
        with AudioWriter(songs.song_path(song.id), 24_000) as writer:
            writer.write(torch.zeros(2, 24_000))
    assert main(["songs", "rename", "two", "Night drive"]) == 0
    assert main(["songs", "star", "one"]) == 0
    capsys.readouterr()
    assert main(["songs", "list", "--sort", "title"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "two  completed     1.0 s     Night drive",
        "one  completed     1.0 s  ★  slow, piano",
    ]
    assert main(["songs", "list", "--search", "piano", "--starred", "--limit", "5"]) == 0
    assert capsys.readouterr().out.startswith("one  ")
    assert main(["songs", "cover", "two", str(picture(tmp_path / "cover.jpg"))]) == 0
    assert main(["songs", "cover", "one"]) == 2
    out = tmp_path / "songs.zip"
    assert main(["songs", "export", "one", "two", "--out", str(out), "--format", "flac"]) == 0
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["slow, piano.flac", "Night drive.flac"]
        archive.extract("Night drive.flac", tmp_path)
    assert read_tags(tmp_path / "Night drive.flac")["title"] == "Night drive"
    assert read_cover(tmp_path / "Night drive.flac").data == (tmp_path / "cover.jpg").read_bytes()
    assert main(["songs", "export", "one", "none", "--out", str(tmp_path / "more.zip")]) == 2
    assert not (tmp_path / "more.zip").exists()
