"""Datasets as other trainers and tools lay them out: words reach their songs, and a caption is not sung."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from heartmula_studio.dataset.metadata_files import MAX_JSON_BYTES
from heartmula_studio.errors import InvalidInputError
from tests.dataset.test_importing import A, B, files, found, tarred

LRC = "[00:01.000]la\n[00:02.500]lo"
SEGMENTS = [{"start": 1.0, "end": 2.0, "text": " la"}, {"start": 2.5, "end": 3.0, "text": " lo"}]


def record(**values: object) -> str:
    return json.dumps(values)


FOLDERS = {
    "ACE-Step": ({"a_prompt.txt": "pop, 120 bpm", "a_lyrics.txt": "la"}, "la", ("pop", "120 bpm")),
    "ACE-Step 1.5": ({"a.json": record(caption="A warm song.", bpm=9), "a.lyrics.txt": "la"}, "la", ("A warm song",)),
    "ACE-Step's list": (
        {"set.json": record(metadata={}, samples=[{"audio_path": "/x/a.ogg", "genre": "pop", "lyrics": "la"}])},
        *("la", ("pop",)),
    ),
    "captions": ({"a.caption": "pop, piano"}, "", ("pop", "piano")),
    "tags as text": ({"a.txt": "pop, slow piano, 120 bpm", "a.lyrics": "la"}, "la", ("pop", "slow piano", "120 bpm")),
    "tags and nothing else": ({"a.txt": "pop, female vocal"}, "", ("pop", "female vocal")),
    "tags beside times": ({"a.txt": "pop, piano", "a.lrc": "[00:01.00]la"}, "[00:01.00]la", ("pop", "piano")),
    "one line that is sung": ({"a.txt": "Amazing grace, how sweet"}, "Amazing grace, how sweet", ()),
    "the suffix kept": ({"a.ogg.txt": "la"}, "la", ()),
    "a language": ({"a.en.srt": "1\n00:00:01,000 --> 00:00:02,000\nla"}, "1\n00:00:01,000 --> 00:00:02,000\nla", ()),
    "folders of a kind": ({"lyrics/a.txt": "la", "tags/a.txt": "pop"}, "la", ("pop",)),
    "a folder for a song": ({"lyrics.txt": "la", "tags.txt": "pop, rock"}, "la", ("pop", "rock")),
    "AudioCraft": ({"a.json": record(description="warm", genre="pop", keywords="x")}, "", ("pop",)),
    "Whisper": ({"a.json": record(text=" la lo", segments=SEGMENTS)}, LRC, ()),
    "Whisper of transformers": (
        {"a.json": record(chunks=[{"timestamp": [1.0, 2.0], "text": " la"}, {"timestamp": [2.5, None], "text": "lo"}])},
        *(LRC, ()),
    ),
    "YuE": (
        {"all.jsonl": record(path="a.ogg", splitted_lyrics={"segmented_lyrics": [{"offset": 1, "line": "la"}]})},
        *("[00:01.000]la", ()),
    ),
    "milliseconds": ({"a.json": record(lyrics=[{"startTimeMs": "1000", "words": "la"}])}, "[00:01.000]la", ()),
    "a table of any name": ({"train.jsonl": record(path="a.ogg", lyrics="la", tags="pop")}, "la", ("pop",)),
    "TSV": ({"metadata.tsv": "file name\tLyrics\tStyle Tags\na.ogg\tla\tpop\n"}, "la", ("pop",)),
    "JSON by name": ({"metadata.json": record(**{"a.ogg": {"lyrics": "la"}})}, "la", ()),
    "no header": ({"metadata.csv": "a|la, la|la la\n"}, "la, la", ()),
    "a header with other signs": ({"metadata.csv": 'file_name,"x;y;z",text\na.ogg,1,la\n'}, "la", ()),
    "paths of another machine": ({"metadata.csv": "file_name,lyrics\nC:\\music\\a.ogg,la\n"}, "la", ()),
    "links": ({"metadata.csv": "file_name,lyrics\nhttps://example.org/x/a.ogg,la\n"}, "la", ()),
    "lists as text": ({"metadata.jsonl": record(file_name="a.ogg", tags='["pop", "rock"]')}, "", ("pop", "rock")),
    "lyrics are what their column says": (
        {"metadata.csv": 'file_name,lyrics,text\na.ogg,"pop, piano",x\n'}, "pop, piano", ()
    ),
    "a text that is tags": ({"metadata.csv": 'file_name,text\na.ogg,"pop, piano"\n'}, "", ("pop", "piano")),
    "a caption that is sung": ({"metadata.csv": 'file_name,caption\na.ogg,"la\nlo"\n'}, "la\nlo", ()),
    "a caption and no lyrics": ({"metadata.csv": "file_name,caption\na.ogg,A slow waltz\n"}, "", ("A slow waltz",)),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_words_reach_their_song(name, tmp_path):
    content, lyrics, tags = FOLDERS[name]
    words, _, skipped = found(files({"a.ogg": A, **content})(tmp_path), tmp_path)
    assert words == [("a.ogg", (lyrics, tags, "unknown"))]
    assert skipped == {}


def test_names_in_folders_below(tmp_path):
    """Common Voice's and LJSpeech's folders: a table names what lies deeper."""
    content = {"clips/a.ogg": A, "clips/b.ogg": B, "train.tsv": "path\tsentence\na.ogg\tla\nb.ogg\tlo\n"}
    words, _, skipped = found(files(content)(tmp_path), tmp_path)
    assert words == [("a.ogg", ("la", (), "unknown")), ("b.ogg", ("lo", (), "unknown"))]
    assert skipped == {}


def test_a_song_of_the_same_name_elsewhere_is_another(tmp_path):
    content = {"x/01.ogg": A, "y/01.ogg": B, "metadata.csv": "file_name,lyrics\n01.ogg,la\ny/01.ogg,lo\n"}
    words, contents, skipped = found(files(content)(tmp_path), tmp_path)
    assert dict(zip(contents, [said[0] for _, said in words], strict=True)) == {A: "", B: "lo"}
    assert skipped == {"metadata.csv, row 1": "There is no file 01.ogg."}
    content["metadata.csv"] = "file_name,lyrics\nz/01.ogg,la\ny/01.ogg,lo\n"
    (tmp_path / "scratch").rmdir()
    assert set(found(files(content)(tmp_path), tmp_path)[2]) == {"metadata.csv, row 1"}


def test_songs_in_two_formats_share_their_text(tmp_path):
    words, _, _ = found(files({"a.ogg": A, "a.flac": B, "a.txt": "la"})(tmp_path), tmp_path)
    assert {said for _, said in words} == {("la", (), "unknown")}


@pytest.mark.parametrize(
    ("content", "skipped"),
    [
        ({"notes.csv": "x,y\n1,2\n"}, {"notes.csv": "It names none of the audio files."}),
        ({"state.json": "{broken"}, {"state.json": "state.json cannot be read as a dataset: Expecting"}),
        ({"big.json": b" " * (MAX_JSON_BYTES + 1)}, {"big.json": "big.json cannot be read as a dataset: it is over"}),
        (
            {"metadata.csv": "file_name,lyrics\na.ogg,la,lo\n"},
            {"metadata.csv, row 1": "It has more cells than columns", "metadata.csv": "It names no files."},
        ),
        (
            {"all.csv": "path\na.ogg\n" + "gone.ogg\n" * 200},
            {"all.csv": "200 of its rows name no file that is there: gone.ogg, "},
        ),
    ],
)  # fmt: skip
def test_tables_that_say_nothing_are_named(content, skipped, tmp_path):
    words, _, left_out = found(files({"a.ogg": A, **content})(tmp_path), tmp_path)
    assert words == [("a.ogg", ("", (), "unknown"))]
    assert left_out.keys() == skipped.keys()
    assert all(reason.startswith(skipped[name]) for name, reason in left_out.items())


TONE = np.sin(np.arange(4800) / 20).astype(np.float32)


def parquet(columns: dict, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return found(tmp_path / "t.parquet", tmp_path)


@pytest.mark.parametrize(
    ("columns", "channels"),
    [
        ({"audio": [{"array": TONE.tolist(), "sampling_rate": 48000}]}, 1),
        ({"audio": [np.stack([TONE, TONE]).tolist()], "sample_rate": [48000]}, 2),
        ({"audio": [np.stack([TONE, TONE], axis=1).tolist()], "sample_rate": [48000]}, 2),
        ({"audio": [(TONE * 32767).astype(np.int16)], "sampling_rate": [48000]}, 1),
        ({"audio": [(TONE * (2**31 - 200)).astype(np.int32)], "sampling_rate": [48000]}, 1),
    ],
)
def test_samples_become_a_recording(columns, channels, tmp_path):
    _, (content,), _ = parquet(columns, tmp_path)
    samples, rate_hz = soundfile.read(io.BytesIO(content), always_2d=True)
    assert (rate_hz, samples.shape) == (48000, (4800, channels))
    np.testing.assert_allclose(samples[:, -1], TONE, atol=1e-4)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"audio": [TONE.tolist()]}, "no column says at what rate"),
        ({"audio": [np.zeros((9, 9)).tolist()], "sr": [8000]}, "no sound"),
        ({"audio": [3]}, "neither a file nor a path"),
        ({"audio": [[]]}, "no audio"),
    ],
)
def test_samples_that_are_no_recording_are_left_out_by_name(columns, reason, tmp_path):
    pq.write_table(pa.table({name: [*cells, *cells] for name, cells in columns.items()}), tmp_path / "t.parquet")
    (tmp_path / "a.ogg").write_bytes(A)
    _, _, skipped = found(tmp_path, tmp_path)
    assert reason in skipped["t.parquet, row 2"]


@pytest.mark.parametrize(
    "columns",
    [
        {"song": [{"bytes": A, "path": "q.ogg"}], "lyrics": ["la"]},
        {"content": [A], "song": ["q.ogg"], "lyrics": ["la"]},
        {"audio": [[{"bytes": A, "path": "q.ogg"}]], "sentence": ["la"]},
    ],
)
def test_audio_is_found_in_columns_of_other_names(columns, tmp_path):
    words, contents, _ = parquet(columns, tmp_path)
    assert (words[0][1], contents) == (("la", (), "unknown"), [A])


def test_how_a_tar_is_packed(tmp_path):
    assert found(tarred({"a.ogg": A}, "a.tar.bz2", "w:bz2")(tmp_path), tmp_path)[1] == [A]
    source = tarred({"a.ogg": A}, "a.tar.xz", "w:xz")(tmp_path)
    (tmp_path / "scratch").rename(tmp_path / "before")
    with pytest.raises(InvalidInputError, match="packed with xz"):
        found(source, tmp_path)


def test_a_damaged_bz2_is_refused_by_name(tmp_path):
    source = tarred({"a.ogg": A}, "a.tar.bz2", "w:bz2")(tmp_path)
    whole = bytearray(source.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    source.write_bytes(whole)
    with pytest.raises(InvalidInputError, match=r"a\.tar\.bz2 cannot be unpacked"):
        found(source, tmp_path)
