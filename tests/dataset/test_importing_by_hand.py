"""Folders as people put them together by hand: nothing is lost silently, goes to another song, or ends in a fault."""

import json
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartmula_studio.dataset import source_files
from heartmula_studio.dataset.source_files import find_files
from heartmula_studio.errors import InvalidInputError, NotFoundError
from tests.dataset.test_importing import A, B, C, files, found, tarred, write, zipped

NEAR_AND_FAR = {
    "sub/metadata.csv": "file_name,lyrics\na.ogg,near\n",
    "sub/a.ogg": A,
    "metadata.csv": "file_name,lyrics\nsub/a.ogg,far\n",
}


def lyrics(source: Path, tmp_path: Path, **options) -> tuple[dict[bytes, str], dict[str, str]]:
    """The lyrics of each song that came in, by its bytes, and what was left out."""
    words, contents, skipped = found(source, tmp_path, **options)
    return {content: said[0] for (_, said), content in zip(words, contents, strict=True)}, skipped


def noted(note: object) -> pa.Table:
    return pa.table({"audio": ["a.ogg"], "genre": [0]}).replace_schema_metadata({"huggingface": json.dumps(note)})


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (zipped(NEAR_AND_FAR), {"metadata.csv, row 1": "sub/metadata.csv, row 1 names the same file."}),
        (files(NEAR_AND_FAR), {"metadata.csv, row 1": "sub/metadata.csv, row 1 names the same file."}),
        (
            files({"a.ogg": A, "metadata.csv": "file_name,lyrics\na.ogg,far\n./a.ogg,near\n"}),
            {"metadata.csv, row 1": "metadata.csv, row 2 names the same file."},
        ),
    ],
)
def test_of_two_rows_for_a_song_the_nearer_holds_and_the_other_is_named(make, expected, tmp_path):
    assert lyrics(make(tmp_path), tmp_path) == ({A: "near"}, expected)


def test_metadata_of_the_owner_may_name_songs_elsewhere(tmp_path):
    """One of the same name in the folder itself is another song."""
    write(tmp_path / "else", {"a.ogg": A})
    rows = f"file_name,lyrics\n{tmp_path}/else/a.ogg,la\n/{'x' * 300},lo\n"
    source = files({"a.ogg": B, "metadata.csv": rows})(tmp_path)
    came, skipped = lyrics(source, tmp_path, is_local=True)
    assert came == {A: "la", B: ""}
    assert set(skipped) == {"metadata.csv, row 2"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_metadata_above_the_splits_speaks_of_the_songs_in_them(split, tmp_path):
    rows = "file_name,lyrics\ntrain/a.ogg,train\ntest/b.ogg,test\n"
    source = files({"train/a.ogg": A, "test/b.ogg": B, "metadata.csv": rows})(tmp_path)
    song = A if split == "train" else B
    assert lyrics(source, tmp_path, split=split) == ({song: split}, {})


def test_the_table_of_a_split_names_songs_outside_its_folder(tmp_path):
    source = files({"audio/a.ogg": A, "audio/b.ogg": B})(tmp_path)
    pq.write_table(pa.table({"audio": ["audio/a.ogg"], "lyrics": ["la"]}), source / "train.parquet")
    assert lyrics(source, tmp_path, split="train") == ({A: "la"}, {})


@pytest.mark.parametrize(
    ("content", "came", "left_out"),
    [
        ({"x/01.ogg": A, "x/01.txt": "la", "y/01.ogg": B}, {A: "la", B: ""}, {}),
        (
            {"x/01.ogg": A, "y/01.ogg": B, "lyrics/01.txt": "la"},
            {A: "", B: ""},
            {"lyrics/01.txt": "Songs in several folders have this name."},
        ),
        (
            {"a.ogg": A, "a.txt": "own", "lyrics/a.lrc": "[00:01.00]other"},
            {A: "own"},
            {"lyrics/a.lrc": "There are other lyrics for its song."},
        ),
        (
            {"a.ogg": A, "a.txt": "x", "metadata.csv": "file_name,lyrics\na.ogg,la\n"},
            {A: "la"},
            {"a.txt": "There are other lyrics for its song."},
        ),
        ({"a.ogg": A, "a.flac": B, "lyrics/a.txt": "la"}, {A: "la", B: "la"}, {}),
    ],
)
def test_lyrics_go_to_no_song_of_another_folder_with_the_same_name(content, came, left_out, tmp_path):
    assert lyrics(files(content)(tmp_path), tmp_path) == (came, left_out)


def test_names_that_begin_with_dots_are_songs(tmp_path):
    content = {"...Baby.ogg": A, "...And Justice/b.ogg": B, ".38 Special.ogg": C, "._a.ogg": "x", ".git/c.ogg": "x"}
    came, skipped = lyrics(files(content)(tmp_path), tmp_path)
    assert (set(came), skipped) == ({A, B, C}, {})


def test_links_and_what_is_no_file_are_named(tmp_path):
    source = files({"a.ogg": A})(tmp_path)
    write(tmp_path / "real", {"b.ogg": B})
    (source / "album").symlink_to(tmp_path / "real")
    (source / "loop").symlink_to(source)
    (source / "gone.ogg").symlink_to("nowhere")
    (source / "self.ogg").symlink_to("self.ogg")
    os.mkfifo(source / "pipe.ogg")
    came, skipped = lyrics(source, tmp_path)
    assert (came, set(skipped)) == ({A: ""}, {"album", "loop", "gone.ogg", "self.ogg", "pipe.ogg"})


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    source = files({"a.ogg": A, "secret/b.ogg": B})(tmp_path)

    def walk(folder, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder / "secret")))
        yield str(folder), ["secret"], ["a.ogg"]

    monkeypatch.setattr(source_files.os, "walk", walk)
    assert lyrics(source, tmp_path) == ({A: ""}, {"secret": "It cannot be opened."})


@pytest.mark.parametrize(
    "metadata",
    [
        "file_name\tlyrics\na.ogg\tsüß\n".encode("utf-16"),
        "file_name;lyrics\na.ogg;süß\n".encode("utf-8-sig"),
        b"\r\nfile_name;lyrics\ra.ogg;s\xc3\xbc\xc3\x9f\r",
        "file_name;lyrics\na.ogg;süß\n\n;schöne Grüße für dich, süßer Käfer, über Brücken\n".encode("cp1252"),
    ],
)
def test_csv_as_spreadsheets_save_it(metadata, tmp_path):
    assert lyrics(files({"a.ogg": A, "metadata.csv": metadata})(tmp_path), tmp_path)[0] == {A: "süß"}


@pytest.mark.parametrize("content", ["", "file_name,lyrics\n"])
def test_metadata_without_rows_is_named(content, tmp_path):
    skipped = {"metadata.csv": "It names no files."}
    assert lyrics(files({"a.ogg": A, "metadata.csv": content})(tmp_path), tmp_path) == ({A: ""}, skipped)


def test_what_lies_beside_tables_is_named(tmp_path):
    source = files({"a.ogg": A, "a.txt": "la", "metadata.csv": "file_name\na.ogg\n", "state.json": "{}"})(tmp_path)
    pq.write_table(pa.table({"audio": ["a.ogg"]}), source / "songs.parquet")
    assert set(found(source, tmp_path)[2]) == {"a.txt", "metadata.csv"}


def test_names_in_a_zip_by_macos(tmp_path):
    """It writes UTF-8 without the mark that says so."""
    path = zipped({"ü.ogg": A, "metadata.csv": "file_name,lyrics\nü.ogg,la\n"})(tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].flag_bits == 0x800
    raw = path.read_bytes()
    for head in (b"PK\3\4\x14\0", b"PK\1\2\x14\3\x14\0"):
        raw = raw.replace(head + b"\0\x08", head + b"\0\0")
    path.write_bytes(raw)
    assert found(path, tmp_path)[0] == [("ü.ogg", ("la", (), "unknown"))]


@pytest.mark.parametrize(
    "note",
    [
        {"info": {"features": []}},
        {"info": {"features": {"genre": {"_type": "ClassLabel", "names": [1, 2]}}}},
        {"info": {"features": {"genre": {"_type": "ClassLabel", "names": {"0": "jazz"}}}}},
        {"info": {"features": {"gone": {"_type": "Audio"}}}},
    ],
)
def test_notes_of_datasets_that_make_no_sense_count_as_none(note, tmp_path):
    source = files({"a.ogg": A})(tmp_path)
    pq.write_table(noted(note), source / "songs.parquet")
    assert found(source, tmp_path)[0] == [("a.ogg", ("", ("0",), "unknown"))]


@pytest.mark.parametrize(
    "table",
    [
        pa.Table.from_arrays([pa.array(["a.ogg"]), pa.array(["b.ogg"])], names=["audio", "audio"]),
        pa.table({"audio": ["a.ogg"], "label": pa.array([2**60], pa.duration("s"))}),
        pa.table({"audio": ["a.ogg"], "label": pa.array([2**30], pa.date32())}),
    ],
)
def test_tables_that_python_cannot_hold_are_refused_by_name(table, tmp_path):
    source = files({"a.ogg": A})(tmp_path)
    pq.write_table(table, source / "songs.parquet")
    with pytest.raises(InvalidInputError, match=r"songs\.parquet cannot be read"):
        found(source, tmp_path)


UNREADABLE = {
    "a.json": f'{{"tags": {"[" * 900}{"]" * 900}}}',
    "a.txt": b"\xff\xfe\x00\xd8",
    "a.tags": b"%PDF-1.7",
    "a.lrc": '<?xml version="1.0"?><tt>la</tt>',
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_text_beside_a_song_that_cannot_be_read_is_named_and_all_else_comes_in(name, tmp_path):
    content = {"a.ogg": A, name: UNREADABLE[name], "b.ogg": B, "b.txt": "la"}
    words, _, skipped = found(tarred(content)(tmp_path), tmp_path)
    assert words == [("a.ogg", ("", (), "unknown")), ("b.ogg", ("la", (), "unknown"))]
    assert list(skipped) == [name]
    assert name in skipped[name]


def test_recordings_with_rarer_names_come_in(tmp_path):
    words, _, skipped = found(files({"a.wave": A, "b.M4B": B, "c.bwf": C})(tmp_path), tmp_path)
    assert ([name for name, _ in words], skipped) == (["a.wave", "b.M4B", "c.bwf"], {})


def test_lyrics_beside_others_that_cannot_be_read_are_taken(tmp_path):
    content = {"a.ogg": A, "a.lrc": UNREADABLE["a.lrc"], "a.txt": "la", "a.json": '{"tags": "pop"'}
    words, _, skipped = found(files(content)(tmp_path), tmp_path)
    assert words == [("a.ogg", ("la", (), "unknown"))]
    assert set(skipped) == {"a.lrc", "a.json"}


def test_a_zip_that_points_before_itself_is_refused_by_name(tmp_path):
    """The system would call it an invalid argument, and the disk would be blamed."""
    path = zipped({"a.ogg": A})(tmp_path)
    raw = bytearray(path.read_bytes())
    start = raw.rindex(b"PK\5\6") + 16
    raw[start : start + 4] = (int.from_bytes(raw[start : start + 4], "little") + 9000).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(InvalidInputError, match=r"songs\.zip cannot be unpacked"):
        found(path, tmp_path)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_names_that_no_file_can_have_are_not_found(name, tmp_path):
    with pytest.raises(NotFoundError):
        find_files(tmp_path / name, name, tmp_path, 2**20, print)


def test_a_damaged_arrow_table_is_named(tmp_path):
    """pyarrow reads a mapped table without a look at it, and fails with SystemError where an offset is negative."""
    table, path = pa.table({"audio": [A, B], "lyrics": ["la la la", "lo lo lo"]}), tmp_path / "songs.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    offsets = b"".join(value.to_bytes(4, "little") for value in (0, 8, 16))
    damaged = offsets[:4] + (-5).to_bytes(4, "little", signed=True) + offsets[8:]
    assert offsets in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(offsets, damaged))
    with pytest.raises(InvalidInputError, match=r"songs\.arrow cannot be read"):
        found(path, tmp_path)


def test_lyrics_in_an_old_encoding_are_shown_for_a_person_to_look_at(tmp_path):
    text = "Белая береза под моим окном\n"
    source = files({"a.ogg": A, "a.txt": text.encode("cp1251")})(tmp_path)
    words, skipped = lyrics(source, tmp_path)
    assert words == {A: text}
    assert skipped == {"a.txt": f"It was read as cp1251. See that its words are right: {text.strip()}"}
