"""Data sets as others make them, each with what it has to become.

The lines on `import_dataset` in the list of surprises: class labels, numbers, nulls, rows without audio, texts beside
songs, lists of lines, metadata that matches nothing, saved datasets, pandas' parquet, macOS' files, zip and WebDataset.
"""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, List, Value

from heartmula_studio.dataset import source_files
from heartmula_studio.dataset.importing import incoming_tracks
from heartmula_studio.dataset.source_files import find_files, in_split
from heartmula_studio.dataset.track_columns import rights_of
from heartmula_studio.errors import InvalidInputError, NotFoundError, UploadTooLargeError
from tests.recordings import SONGS

A, B, C = (clip.read_bytes() for clip in SONGS[:3])
Words = tuple[str, tuple[str, ...], str]
NOTHING: Words = ("", (), "unknown")


def write(folder: Path, files: dict[str, bytes | str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def files(content: dict[str, bytes | str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write(folder / "source", content)
        return folder / "source"

    return make


def zipped(content: dict[str, bytes | str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "songs.zip", "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return folder / "songs.zip"

    return make


def tarred(content: dict[str, bytes | str], name: str = "songs.tar", mode: str = "w") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / name, mode) as archive:
            for member, data in content.items():
                data = data.encode() if isinstance(data, str) else data
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return folder / name

    return make


def in_folder(make: Callable[[Path], Path], *names: str) -> Callable[[Path], Path]:
    """Put what is made, once for each name, into a folder."""

    def place(folder: Path) -> Path:
        made = make(folder)
        (folder / "repository").mkdir()
        for name in names:
            shutil.copy(made, folder / "repository" / name)
        return folder / "repository"

    return place


def saved(rows: list[dict], features: dict | None = None, splits: tuple[str, ...] = ()) -> Callable[[Path], Path]:
    """`save_to_disk`, with the audio inside: of one dataset, or of splits that share the rows out."""

    def make(folder: Path) -> Path:
        kinds = {"audio": {"bytes": Value("binary"), "path": Value("string")}, **(features or {})}
        dataset = Dataset.from_list(rows, features=Features(kinds)).cast_column("audio", Audio(decode=False))
        if splits:
            shares = {split: dataset.shard(len(splits), number) for number, split in enumerate(splits)}
            DatasetDict(shares).save_to_disk(folder / "saved")
        else:
            dataset.save_to_disk(folder / "saved")
        return folder / "saved"

    return make


def pandas_parquet(columns: dict[str, list]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write(folder / "source", {"a.ogg": A, "sub/b.ogg": B})
        pd.DataFrame(columns).to_parquet(folder / "source" / "songs.parquet")
        return folder / "source"

    return make


def sound(content: bytes | None, path: str | None) -> dict:
    return {"bytes": content, "path": path}


def found(source: Path, tmp_path: Path, split: str = "", is_local: bool = False):
    """What comes in, by file name, and what is left out, by name."""
    skipped: dict[str, str] = {}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    listed = find_files(source, source.name, scratch, 2**28, skipped.__setitem__)
    tracks = list(incoming_tracks(listed, skipped.__setitem__, is_local, split))
    words = [(t.filename, (t.words.lyrics, t.words.tags, t.words.rights)) for t in tracks]
    return words, [b"".join(track.chunks()) for track in tracks], skipped


LABELS = {"genre": ClassLabel(names=["jazz", "rock"])}
TAG_LISTS = {"tags": List(Value("string"))}
TABLE = [
    pytest.param(
        saved([{"audio": sound(A, "a.ogg"), "genre": 1}, {"audio": sound(B, "b.ogg"), "genre": None}], LABELS),
        [("a.ogg", ("", ("rock",), "unknown")), ("b.ogg", NOTHING)],
        id="ClassLabel genres",
    ),
    pytest.param(
        saved([{"audio": sound(A, "a.ogg"), "genres": [0, 1]}], {"genres": List(LABELS["genre"])}),
        [("a.ogg", ("", ("jazz", "rock"), "unknown"))],
        id="lists of class labels",
    ),
    pytest.param(
        saved([{"audio": sound(A, "a.ogg"), "tags": ["pop", None, " "]}], TAG_LISTS),
        [("a.ogg", ("", ("pop",), "unknown"))],
        id="nulls in tag lists",
    ),
    pytest.param(
        pandas_parquet({"path": ["a.ogg", "sub/b.ogg"], "tags": [1994, 7], "text": ["la", None]}),
        [("a.ogg", ("la", ("1994",), "unknown")), ("b.ogg", ("", ("7",), "unknown"))],
        id="numbers as tags, a column of paths by pandas",
    ),
    pytest.param(
        pandas_parquet({"Audio": [sound(A, "x/a.ogg"), sound(B, None)], "Lyrics": [["la", None, "lo"], []]}),
        [("a.ogg", ("la\n\nlo", (), "unknown")), ("song 2", NOTHING)],
        id="a record of bytes and path by pandas, lyrics as a list of lines",
    ),
    pytest.param(
        pandas_parquet({"audio": [A, B], "file_name": ["a.ogg", "b.ogg"], "genre": ["a, b", float("nan")]}),
        [("a.ogg", ("", ("a", "b"), "unknown")), ("b.ogg", NOTHING)],
        id="plain bytes, NaN",
    ),
    pytest.param(
        saved([{"audio": sound(A, "a.ogg")}, {"audio": sound(B, "b.ogg")}], splits=("train", "test")),
        [("b.ogg", NOTHING), ("a.ogg", NOTHING)],
        id="a saved DatasetDict, all splits",
    ),
    pytest.param(
        files({"a.ogg": A, "a.lrc": "[00:01.00]la", "A.txt": "lo", "texts/B.TXT": "le", "b.ogg": B}),
        [("a.ogg", ("[00:01.00]la", (), "unknown")), ("b.ogg", ("le", (), "unknown"))],
        id="texts beside songs, by stem in any case",
    ),
    pytest.param(
        files({"train/rock/a.ogg": A, "train/jazz/b.ogg": B, "test/rock/c.ogg": C}),
        [
            ("c.ogg", ("", ("rock",), "unknown")),
            ("b.ogg", ("", ("jazz",), "unknown")),
            ("a.ogg", ("", ("rock",), "unknown")),
        ],
        id="folders as genres",
    ),
    pytest.param(
        files({"train/a.ogg": A, "test/b.ogg": B}), [("b.ogg", NOTHING), ("a.ogg", NOTHING)], id="splits are no genres"
    ),
    pytest.param(
        files({"b.ogg": B, "a.ogg": A, "metadata.jsonl": '{"file_name": "b.ogg", "lyrics": ["x", "y"]}\n'}),
        [("b.ogg", ("x\ny", (), "unknown")), ("a.ogg", NOTHING)],
        id="metadata gives the order",
    ),
    pytest.param(
        files(
            {
                "a.ogg": A,
                "sub/b.ogg": B,
                "metadata.csv": '\ufefffile_name;lyrics;tags;license\na.ogg;"one\r\ntwo";"[\'x\', \'y\']";CC-BY 4.0\n',
                "sub/metadata.jsonl": '{"file_name": "b.ogg", "text": "three\u2028four", "rights": "own"}\n',
            }
        ),
        [("a.ogg", ("one\r\ntwo", ("x", "y"), "licensed")), ("b.ogg", ("three\u2028four", (), "own"))],
        id="metadata of folders, of lists as pandas writes them into CSV",
    ),
    pytest.param(
        zipped({"my/A\u0308.ogg": A, "my\\sub\\b.ogg": B, "my/\u00c4.txt": "la", "__MACOSX/my/._b.ogg": "x"}),
        [("\u00c4.ogg", ("la", ("my",), "unknown")), ("b.ogg", ("", ("sub",), "unknown"))],
        id="a zip with names of macOS and Windows",
    ),
    pytest.param(
        tarred({"0.ogg": A, "0.json": '{"file_name": "x.ogg", "tags": ["p, q"]}', "1.ogg": B, "1.txt": "la"}),
        [("x.ogg", ("", ("p, q",), "unknown")), ("1.ogg", ("la", (), "unknown"))],
        id="a WebDataset shard",
    ),
    pytest.param(
        tarred({"0.ogg": A, "0.lyrics.txt": "la", "0.genre.txt": "rock, pop\n", "0.license.txt": "CC0"}),
        [("0.ogg", ("la", ("rock", "pop"), "public_domain"))],
        id="a WebDataset shard with a text for each field",
    ),
    pytest.param(
        files({"a.ogg": A, "metadata.csv": "path,file_name,text\n/elsewhere/x.ogg,a.ogg,la\n"}),
        [("a.ogg", ("la", (), "unknown"))],
        id="file_name comes before other columns with paths",
    ),
    pytest.param(
        in_folder(tarred({"0.ogg": A, "0.json": '{"text": "la"}'}, "0.tar.gz", "w:gz"), "s-0.tar.gz", "s-1.tar.gz"),
        [("0.ogg", ("la", (), "unknown"))] * 2,
        id="WebDataset shards in a folder, of the same keys",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), TABLE)
def test_everything_usual_comes_in(make, expected, tmp_path):
    words, contents, _ = found(make(tmp_path), tmp_path)
    assert sorted(words) == sorted(expected)
    assert set(contents) <= {A, B, C}


def test_a_saved_dataset_of_paths_and_one_split_of_several(tmp_path):
    rows = [{"audio": sound(A, "a.ogg")}, {"audio": sound(B, "b.ogg")}]
    source = saved(rows, splits=("train", "test"))(tmp_path)
    assert found(source, tmp_path, "test")[0] == [("b.ogg", NOTHING)]
    with pytest.raises(NotFoundError, match="valid"):
        in_split(find_files(source, "saved", tmp_path, 2**20, print), "valid")


def test_what_is_left_out_is_named(tmp_path):
    """Rows without audio, lines that are lists, other files: told, and no crash."""
    rows = [sound(None, None), None, sound(None, "gone.ogg"), sound(A, "x.ogg")]
    source = pandas_parquet({"audio": rows})(tmp_path) / "songs.parquet"
    _, _, skipped = found(source, tmp_path)
    assert [(name.rpartition(" ")[2], reason) for name, reason in skipped.items()] == [
        ("1", "It has no audio."), ("2", "It has no audio."), ("3", "There is no file gone.ogg."),
    ]  # fmt: skip


def test_metadata_lines_and_files_that_are_left_out(tmp_path):
    content = {"a.ogg": A, "cover.jpg": "x", "README.md": "x", "other.txt": "x", "._a.ogg": "x", ".DS_Store": "x"}
    lines = '["a.ogg"]\n{"file_name": "gone.ogg"}\n{"file_name": "a.ogg", "lyrics": "la"}\n{"file_name": 3}\n'
    source = files({**content, "Thumbs.db": "x", "metadata.jsonl": lines})(tmp_path)
    words, _, skipped = found(source, tmp_path)
    assert words == [("a.ogg", ("la", (), "unknown"))]
    assert set(skipped) == {"cover.jpg", "README.md", "other.txt", *(f"metadata.jsonl, line {n}" for n in (1, 2, 4))}
    assert "gone.ogg" in skipped["metadata.jsonl, line 2"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (files({"notes.txt": "x"}), "no audio"),
        (files({"a.ogg": A, "metadata.jsonl": "{broken\n"}), r"metadata\.jsonl cannot be read"),
        (files({"a.ogg": A, "metadata.csv": "file_name\nx.ogg\ny.ogg\n"}), r"looks for x\.ogg, y\.ogg; .*a\.ogg"),
        (files({"a.ogg": A, "metadata.csv": "title,text\nx,la\n"}), "no column that names files, only title, text"),
        (files({"songs.parquet": b"PAR1 no more"}), r"songs\.parquet cannot be read"),
        (zipped({"a.ogg": A, "metadata.jsonl": "{broken"}), r"^metadata\.jsonl cannot be read"),
        (in_folder(zipped({"notes.txt": "x"}), "a.zip"), "no audio"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(make, said, tmp_path):
    with pytest.raises(InvalidInputError, match=said) as caught:
        found(make(tmp_path), tmp_path)
    assert "scratch" not in caught.value.message


def test_metadata_in_parquet(tmp_path):
    write(tmp_path / "source", {"a.ogg": A})
    rows = {"file_name": ["a.ogg"], "lyrics": ["la"], "rights": ["public_domain"]}
    pq.write_table(pa.table(rows), tmp_path / "source" / "metadata.parquet")
    assert found(tmp_path / "source", tmp_path)[0] == [("a.ogg", ("la", (), "public_domain"))]


def test_a_damaged_archive_is_refused(tmp_path):
    whole = zipped({"a.ogg": A})(tmp_path).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInputError, match=r"cut\.zip cannot be unpacked"):
        found(tmp_path / "cut.zip", tmp_path)


def test_nothing_leads_out_of_an_archive(tmp_path):
    """Paths that climb, absolute ones and links are left out; a table in it names no file of this machine."""
    outside = tmp_path / "outside.ogg"
    outside.write_bytes(B)
    table = pa.table({"path": [str(outside), "../outside.ogg", "a.ogg"]})
    pq.write_table(table, tmp_path / "t.parquet")
    tables = (tmp_path / "t.parquet").read_bytes()
    source = tarred({"../up.ogg": B, "/abs.ogg": B, "C:/drive.ogg": B, "a.ogg": A, "t.parquet": tables})(tmp_path)
    with tarfile.open(source, "a") as archive:
        link = tarfile.TarInfo("link.ogg")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
    words, contents, skipped = found(source, tmp_path)
    assert (words, contents) == ([("a.ogg", NOTHING)], [A])
    assert {"../up.ogg", "/abs.ogg", "C:/drive.ogg", "link.ogg"} <= set(skipped)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside.ogg", "scratch", "songs.tar", "t.parquet"]


def test_only_the_owner_of_the_machine_takes_files_from_anywhere(tmp_path):
    (tmp_path / "a.ogg").write_bytes(A)
    pq.write_table(pa.table({"path": [str(tmp_path / "a.ogg")]}), tmp_path / "t.parquet")
    assert found(tmp_path / "t.parquet", tmp_path, is_local=True)[0] == [("a.ogg", NOTHING)]
    (tmp_path / "scratch").rmdir()
    with pytest.raises(InvalidInputError, match="no audio"):
        found(tmp_path / "t.parquet", tmp_path)


def test_limits_hold_for_what_is_unpacked(tmp_path, monkeypatch):
    source = zipped({"a.ogg": A, "b.ogg": B})(tmp_path)
    with pytest.raises(UploadTooLargeError, match=f"over {len(A):,} bytes"):
        find_files(source, "songs.zip", tmp_path, len(A), print)
    monkeypatch.setattr(source_files, "SMALL_BYTES", 1000)
    (tmp_path / "tight").mkdir()
    tight = tarred({"zeros.ogg": bytes(10**6)}, "tight.tar.gz", "w:gz")(tmp_path)
    with pytest.raises(UploadTooLargeError, match="over 20 times its size"):
        find_files(tight, "tight.tar.gz", tmp_path / "tight", 2**30, print)
    monkeypatch.setattr(source_files, "MAX_ENTRIES", 1)
    with pytest.raises(UploadTooLargeError, match="over 1 files"):
        find_files(source, "songs.zip", tmp_path, 2**20, print)


@pytest.mark.parametrize(
    ("said", "rights"),
    [
        ("own", "own"), ("Public Domain", "public_domain"), ("CC0 1.0", "public_domain"),
        ("cc-by-nc-sa-4.0", "licensed"), ("https://creativecommons.org/licenses/by/4.0/", "licensed"), ("", "unknown"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "public_domain"),
    ],
)  # fmt: skip
def test_licences_are_understood(said, rights):
    assert rights_of(said) == (rights, "")


def test_a_licence_that_is_not_understood_is_passed_on():
    assert rights_of("All rights reserved") == ("unknown", "All rights reserved")
