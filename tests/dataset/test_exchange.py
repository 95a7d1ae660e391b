"""Datasets that leave for other programs and come back."""

import shutil
from pathlib import Path

import datasets
import pytest
import torch

from heartmula_studio.arch.checkpoints import ASSETS
from heartmula_studio.dataset.exchange import incoming_songs, save_to_folder, save_to_parquet
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.errors import InvalidInputError, NotFoundError

CLIPS = sorted((ASSETS / "clips" / "style").glob("*.ogg"))[:2]


@pytest.fixture
def two_songs():
    codes = torch.arange(16, dtype=torch.int16).reshape(8, 2)
    rows = [
        {"song": clip.stem, "audio": str(clip), "tags": ["Techno", "fast"], "lyrics": "[verse]\nla"} for clip in CLIPS
    ]
    return song_dataset([{**row, "codes": codes, "codec": "nano"} for row in rows])


def assert_both_came(folder: Path) -> None:
    songs = list(incoming_songs(folder))
    assert [song.filename for song in songs] == [clip.name for clip in CLIPS]
    assert [song.content for song in songs] == [clip.read_bytes() for clip in CLIPS]
    assert {(song.lyrics, song.tags) for song in songs} == {("[verse]\nla", ("Techno", "fast"))}


def test_a_folder_goes_out_and_comes_back_with_its_audio(tmp_path, two_songs):
    save_to_folder(two_songs, tmp_path / "out")
    assert_both_came(tmp_path / "out")
    assert datasets.load_from_disk(str(tmp_path / "out"))["codes"][1] == two_songs["codes"][1]


def test_parquet_goes_out_and_comes_back_with_its_audio(tmp_path, two_songs):
    folder = tmp_path / "data"
    save_to_parquet(two_songs, folder / "train.parquet")
    assert_both_came(folder)


def test_audiofolder_convention(tmp_path):
    (tmp_path / "deep").mkdir()
    shutil.copy(CLIPS[0], tmp_path / "a.ogg")
    shutil.copy(CLIPS[1], tmp_path / "deep" / "b.ogg")
    (tmp_path / "metadata.csv").write_text('file_name,lyrics,tags\na.ogg,"one\ntwo","Pop, slow"\n', encoding="utf-8")
    (tmp_path / "deep" / "metadata.jsonl").write_text('{"file_name": "b.ogg", "text": "three"}\n', encoding="utf-8")
    found = {song.filename: (song.lyrics, song.tags) for song in incoming_songs(tmp_path)}
    assert found == {"a.ogg": ("one\ntwo", ("Pop", "slow")), "b.ogg": ("three", ())}


def test_a_folder_without_audio_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(InvalidInputError, match="no audio"):
        list(incoming_songs(tmp_path))


def test_broken_metadata_is_refused(tmp_path):
    shutil.copy(CLIPS[0], tmp_path / "a.ogg")
    (tmp_path / "metadata.jsonl").write_text("{broken\n")
    with pytest.raises(InvalidInputError, match="cannot be read as a dataset"):
        list(incoming_songs(tmp_path))


def test_what_is_neither_folder_nor_on_the_hub_is_not_found(tmp_path):
    with pytest.raises(NotFoundError):
        list(incoming_songs(tmp_path / "nothing"))
