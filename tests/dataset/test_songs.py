import numpy as np
import pytest
import soundfile
import torch
from datasets import Dataset, load_from_disk

from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.songs import check_songs, from_token_files, load_songs, song_codes, song_dataset
from heartmula_studio.errors import CheckpointMismatchError, InvalidInputError, NotFoundError


def row(song="Aria", num_frames=5, **columns):
    codes = torch.arange(8 * num_frames, dtype=torch.int16).reshape(8, num_frames)
    return {"song": song, "tags": "piano", "lyrics": "[verse]\nla", "codes": codes, **columns}


def save_tokens(path, codec_id="nano-1", frame_rate_hz=12.5):
    codes = torch.arange(80, dtype=torch.int16).reshape(8, 10)
    Tokens(codes, frame_rate_hz, codec_id, source_sha256="0" * 64, source_sec=0.8).save(path)
    return path


def test_rows_survive_the_disk(tmp_path):
    song_dataset([row("Aria", 5), row("Blues", 7, tags=["Hip Hop", "90s"])]).save_to_disk(tmp_path / "dataset")
    dataset = load_songs(tmp_path / "dataset")
    assert dataset.column_names == ["song", "tags", "lyrics", "codes"]
    assert list(dataset["tags"]) == ["piano", "Hip Hop,90s"]
    assert torch.equal(song_codes(dataset, 1), torch.arange(56, dtype=torch.int16).reshape(8, 7))
    assert dataset.features["codes"].feature.feature.dtype == "int16"


@pytest.mark.parametrize(
    "codes", [np.ones((8, 3), dtype=np.int16), [[1, 2, 3]] * 8, torch.ones(8, 3, dtype=torch.int64)]
)
def test_codes_may_be_arrays_lists_or_tensors(codes):
    assert song_codes(song_dataset([row(codes=codes)]), 0).shape == (8, 3)


def test_codes_of_selected_rows_are_those_of_the_songs():
    dataset = song_dataset([row("Aria", 5), row("Blues", 7), row("Canon", 9)]).select([2, 0])
    assert [song_codes(dataset, i).shape[1] for i in range(2)] == [9, 5]


def test_audio_and_codec_are_kept_where_all_songs_have_them(tmp_path):
    rows = [row(song, codec="a", audio=str(tmp_path / f"{song}.wav")) for song in ("Aria", "Blues")]
    for entry in rows:
        soundfile.write(entry["audio"], np.zeros(100), 8000)
    song_dataset(rows).save_to_disk(tmp_path / "dataset")
    dataset = load_songs(tmp_path / "dataset")
    assert dataset[1]["audio"]["path"].endswith("Blues.wav")
    assert list(dataset["codec"]) == ["a", "a"]
    partly = song_dataset([rows[0], row("Blues", codec="a")])
    assert partly.column_names == ["song", "tags", "lyrics", "codes", "codec"]


def test_no_songs_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="0 songs"):
        song_dataset([])
    with pytest.raises(InvalidInputError, match="0 songs"):
        from_token_files([], [], "piano")


def test_two_songs_of_one_name_are_refused():
    with pytest.raises(InvalidInputError, match="'Aria'"):
        song_dataset([row("Aria"), row("Blues"), row("Aria")])


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((8, 0), dtype=int),
        np.zeros(8, dtype=int),
        [],
        np.full((8, 2), -1),
        np.full((8, 2), 40_000),
        np.full((8, 2), 0.5),
        [[1, 2], [1]],
    ],
)
def test_unusable_codes_name_the_song(codes):
    with pytest.raises(InvalidInputError, match="Blues"):
        song_dataset([row("Aria"), row("Blues", codes=codes)])


def test_missing_columns_are_named():
    with pytest.raises(InvalidInputError, match="tags, lyrics"):
        check_songs(Dataset.from_dict({"song": ["Aria"], "codes": [[[1]]]}))
    with pytest.raises(InvalidInputError, match="Blues has no lyrics"):
        song_dataset([row("Aria"), {"song": "Blues", "tags": "piano", "codes": [[1]]}])


def test_unusable_rows_of_a_foreign_dataset_are_refused():
    foreign = {"song": ["Aria"], "tags": ["piano"], "lyrics": ["la"], "codes": [[[1, 2]]]}
    half_empty = {"song": ["Aria", "Blues"], "lyrics": ["la", None]}
    with pytest.raises(InvalidInputError, match="1 songs have no lyrics"):
        check_songs(Dataset.from_dict({**{name: 2 * column for name, column in foreign.items()}, **half_empty}))
    for codes in ([[]], [[1, 2], [3]], [[0.5, 1.0]]):
        with pytest.raises(InvalidInputError, match="Aria"):
            song_codes(Dataset.from_dict({**foreign, "codes": [codes]}), 0)


@pytest.mark.parametrize("column", ["song", "tags", "lyrics", "codec"])
@pytest.mark.parametrize("value", [7, ["a", "b"]])
def test_a_foreign_dataset_without_text_where_text_is_needed_is_refused(column, value):
    foreign = {"song": ["Aria"], "tags": ["piano"], "lyrics": ["la"], "codes": [[[1, 2]]], "codec": ["nano-1"]}
    with pytest.raises(InvalidInputError, match=f"column {column} holds"):
        check_songs(Dataset.from_dict({**foreign, column: [value]}), codec_id="nano-1")


@pytest.mark.parametrize("name", ["Caf\udce9", 7])
def test_a_name_that_cannot_be_stored_is_refused(name):
    """The first is how Python reads a file called Café in Latin-1."""
    with pytest.raises(InvalidInputError, match="song"):
        song_dataset([row(name)])
    with pytest.raises(InvalidInputError, match="audio"):
        song_dataset([row(audio=name)])


def test_lone_surrogates_in_lyrics_are_dropped():
    assert song_dataset([row(lyrics="la\udce9la")])[0]["lyrics"] == "lala"


def test_token_files_become_songs_named_by_their_stems(tmp_path):
    paths = [save_tokens(tmp_path / "Aria.pt"), save_tokens(tmp_path / "Blues.pt")]
    dataset = from_token_files(paths, ["la", ""], ["piano", "blues"])
    assert list(dataset["song"]) == ["Aria", "Blues"]
    assert list(dataset["lyrics"]) == ["la", ""]
    assert list(dataset["tags"]) == ["piano", "blues"]
    assert list(dataset["codec"]) == ["nano-1", "nano-1"]
    assert torch.equal(song_codes(dataset, 0), torch.arange(80, dtype=torch.int16).reshape(8, 10))


def test_one_text_of_tags_goes_with_all_files(tmp_path):
    paths = [save_tokens(tmp_path / "Aria.pt"), save_tokens(tmp_path / "Blues.pt")]
    assert list(from_token_files(paths, ["", ""], "piano, jazz")["tags"]) == ["piano,jazz"] * 2


def test_tokens_of_two_codecs_are_not_mixed(tmp_path):
    paths = [save_tokens(tmp_path / "Aria.pt"), save_tokens(tmp_path / "Blues.pt", codec_id="official")]
    with pytest.raises(CheckpointMismatchError, match=r"nano-1 \(as Aria\), official \(as Blues\)"):
        from_token_files(paths, ["", ""], "piano")


def test_tokens_of_another_codec_than_the_base_models_are_refused(tmp_path):
    dataset = from_token_files([save_tokens(tmp_path / "Aria.pt")], [""], "piano", codec_id="nano-1")
    dataset.save_to_disk(tmp_path / "dataset")
    load_songs(tmp_path / "dataset", codec_id="nano-1")
    with pytest.raises(CheckpointMismatchError, match="official"):
        load_songs(tmp_path / "dataset", codec_id="official")


def test_tokens_of_another_frame_rate_are_refused(tmp_path):
    with pytest.raises(CheckpointMismatchError, match=r"Aria\.pt has 25\.0 frames a second"):
        from_token_files([save_tokens(tmp_path / "Aria.pt", frame_rate_hz=25.0)], [""], "piano")


def test_a_folder_without_a_dataset_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(NotFoundError, match=folder.name):
            load_songs(folder)


def test_the_dataset_is_a_plain_hugging_face_one(tmp_path):
    song_dataset([row()]).save_to_disk(tmp_path / "dataset")
    assert load_from_disk(tmp_path / "dataset")[0]["song"] == "Aria"
