"""A catalogue into shards of codes: each recording once, what is bad in a report, and on where it ended."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import torch

from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.dataset import catalogue as module
from heartmula_studio.dataset.catalogue import Catalogue, described
from heartmula_studio.errors import ConflictError, InvalidInputError
from heartmula_studio.services.cataloguing.work import codec_of
from tests.recordings import SONGS


@pytest.fixture(scope="module")
def codec():
    threads = torch.get_num_threads()
    yield codec_of("nano", "cpu")
    torch.set_num_threads(threads)


@pytest.fixture
def audio(tmp_path):
    """Three recordings, one of them damaged, in folders, beside what is none."""
    folder = tmp_path / "audio"
    (folder / "b").mkdir(parents=True)
    (folder / ".trash").mkdir()
    for place in ("b/second.mp3", "third.mp3", ".trash/gone.mp3"):
        shutil.copy(SONGS[0], folder / place)
    (folder / "b" / "bad.mp3").write_bytes(b"no music")
    (folder / "notes.txt").write_text("la la")
    return folder


def test_recordings_are_found_in_one_order_with_what_is_said_of_them(audio):
    (audio / "metadata.csv").write_text('file_name,tags\nb/second.mp3,"pop, live"\nthird.mp3,rock\n')
    (audio / "b" / "second.txt").write_text("[verse]\nla la")
    (audio / "third.lrc").write_bytes(b"\xff\xfe\x00\xd8")
    left_out = []
    found = {entry.pop("path"): entry for entry in described(audio, left_out)}
    assert found == {
        "third.mp3": {"tags": "rock", "lyrics": "", "rights": "unknown"},
        "b/bad.mp3": {"tags": "", "lyrics": "", "rights": "unknown"},
        "b/second.mp3": {"tags": "pop,live", "lyrics": "[verse]\nla la", "rights": "unknown"},
    }
    assert list(found) == ["third.mp3", "b/bad.mp3", "b/second.mp3"]
    assert [entry["path"] for entry in left_out] == ["third.lrc"]


def test_each_recording_is_in_one_shard_and_only_what_is_missing_is_done_again(tmp_path, audio, codec, monkeypatch):
    monkeypatch.setattr(module, "SHARD_FILES", 2)
    (audio / "b" / "second.txt").write_text("[verse]\nla la")
    made = Catalogue(tmp_path / "codes", audio)
    count = made.make_lists()
    assert (count, list(made.missing(count))) == (2, [0, 1])
    for number in made.missing(count):
        made.write_shard(number, codec, AudioLimits())
    assert made.write_index(count) == (2, 1)
    index = pq.read_table(made.index).to_pylist()
    assert [(row["path"], row["shard"], row["row"]) for row in index] == [("third.mp3", 0, 0), ("b/second.mp3", 1, 0)]
    table = pq.read_table(made.shard(1))
    assert table.schema.metadata[b"codec_id"].decode() == codec.codec_id
    tokens, row = codec.encode_file(SONGS[0]), table.to_pylist()[0]
    codes = torch.tensor(row["codes"], dtype=torch.int16).view(row["frames"], int(table.schema.metadata[b"codebooks"]))
    assert torch.equal(codes.T, tokens.codes)
    assert (row["lyrics"], pq.ParquetFile(made.shard(1)).num_row_groups) == ("[verse]\nla la", 1)
    assert (row["sha256"], row["seconds"]) == (tokens.source_sha256, tokens.source_sec)
    (bad,) = map(json.loads, made.errors.read_text().splitlines())
    assert (bad["path"], "it is a text file" in bad["error"]) == ("b/bad.mp3", True)

    made.shard(0).unlink()
    shutil.copy(SONGS[0], audio / "new.mp3")
    assert (made.make_lists(), list(made.missing(count))) == (2, [0])


def test_a_folder_without_recordings_and_one_that_holds_other_codes(tmp_path, audio):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInputError, match="no recording"):
        Catalogue(tmp_path / "codes", empty).make_lists()
    assert not (tmp_path / "codes" / "lists").exists()
    Catalogue(tmp_path / "codes", audio).make_lists()
    with pytest.raises(ConflictError, match="another folder"):
        Catalogue(tmp_path / "codes", empty).make_lists()
