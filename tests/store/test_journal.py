"""Datasets whose edits go into a journal: what is read, what a kill leaves, and when the manifest is written anew."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from heartmula_studio.errors import StorageError
from heartmula_studio.store import journal, journaled
from heartmula_studio.store.records import AudioFile, Dataset
from heartmula_studio.store.store import Store
from heartmula_studio.store.track_changes import TrackChange
from tests.store.test_processes import ROOT, WRITER

NOW = "2026-11-30T12:00:00+00:00"


def track(number: int) -> AudioFile:
    return AudioFile(f"{number}.mp3", f"la {number}", (), "unknown", 1.0, 44100, 2, 1, str(number), NOW)


@pytest.fixture
def small(monkeypatch):
    """Have a dataset of more than three tracks journaled."""
    monkeypatch.setattr(journaled, "JOURNALED_TRACKS", 3)


@pytest.fixture
def large(store, small) -> Dataset:
    """A dataset with a journal, in which nothing is yet."""
    record = Dataset("large", "Large", (), NOW, "ready", audio_files=tuple(map(track, range(6))))
    store.datasets.create(record, lambda folder: [(folder / name).mkdir() for name in ("audio", "processed")])
    return store.datasets.rename("large", "Larger")


def written(store: Store) -> dict:
    return json.loads((store.datasets.root / "large" / "manifest.json").read_text())


def lines(store: Store) -> list[str]:
    return (store.datasets.root / "large" / written(store)["journal"]).read_text().splitlines()


def same_elsewhere(store: Store) -> Dataset:
    """The dataset as another process reads it; asserts that this one reads the same."""
    found = Store(store.root).datasets.get("large")
    assert found == store.datasets.get("large")
    return found


def test_a_small_dataset_has_no_journal(store, dataset, add_song):
    add_song("a.mp3")
    assert [path.name for path in store.datasets.folder(dataset.id).glob("*.json*")] == ["manifest.json"]
    assert store.datasets.get(dataset.id).journal == ""


def test_an_edit_writes_a_line(store, large):
    before = written(store)
    store.datasets.update_audio("large", "2.mp3", caption="lo", tags=["pop"])
    store.datasets.update_tracks("large", [TrackChange(f"{number}.mp3", rights="own") for number in (1, 3)])
    assert written(store) == before
    assert len(lines(store)) == 2
    assert [song.rights for song in same_elsewhere(store).audio_files] == [
        "unknown",
        "own",
        "unknown",
        "own",
        *["unknown"] * 2,
    ]
    assert store.datasets.get_song("large", "2.mp3").caption == "lo"


def test_tracks_that_come_and_go_keep_their_order(store, large):
    store.datasets.remove_audio("large", "1.mp3")
    store.datasets.update("large", lambda one: replace(one, audio_files=(*one.audio_files, track(7), track(1))))
    store.datasets.update_audio("large", "7.mp3", tags=["live"])
    names = [song.filename for song in same_elsewhere(store).audio_files]
    assert names == [f"{number}.mp3" for number in (0, 2, 3, 4, 5, 7, 1)]
    assert len(lines(store)) == 3


def test_another_order_writes_the_manifest(store, large):
    before = written(store)["journal"]
    store.datasets.update("large", lambda one: replace(one, audio_files=one.audio_files[::-1]))
    assert written(store)["journal"] != before
    assert [song.filename for song in same_elsewhere(store).audio_files] == [f"{n}.mp3" for n in range(5, -1, -1)]


def test_a_long_journal_becomes_a_manifest(store, large, monkeypatch):
    monkeypatch.setattr(journaled, "ROOM_BYTES", 1000)
    for number in range(20):
        store.datasets.update_audio("large", "2.mp3", caption=f"take {number}")
        assert same_elsewhere(store).audio_files[2].caption == f"take {number}"
    assert len(lines(store)) < 10
    assert len([*store.datasets.folder("large").glob("journal-*")]) == 1


def test_folding_leaves_a_manifest_that_an_earlier_release_reads(store, large):
    store.datasets.update_audio("large", "2.mp3", caption="lo")
    store.datasets.fold()
    assert written(store)["audio_files"][2]["caption"] == "lo"
    assert lines(store) == []
    assert same_elsewhere(store).audio_files[2].caption == "lo"


def test_a_dataset_that_became_small_has_no_journal(store, large):
    for number in range(3):
        store.datasets.remove_audio("large", f"{number}.mp3")
    store.datasets.fold()
    assert written(store)["journal"] == ""
    assert [*store.datasets.folder("large").glob("journal-*")] == []
    assert len(same_elsewhere(store).audio_files) == 3


def test_a_torn_line_counts_for_nothing(store, large):
    store.datasets.update_audio("large", "2.mp3", caption="lo")
    path = store.datasets.folder("large") / large.journal
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-20])
    assert same_elsewhere(store).audio_files[2].caption == "lo"
    store.datasets.update_audio("large", "3.mp3", caption="li")
    assert [song.caption for song in same_elsewhere(store).audio_files[2:4]] == ["lo", "li"]
    assert path.read_bytes().startswith(whole)


@pytest.mark.parametrize("line", [b"{}", b"no JSON", b'{"schema": 1}', b'{"schema": 2}'])
def test_a_damaged_line_is_explained(store, large, line):
    path = store.datasets.folder("large") / large.journal
    path.write_bytes(line + b"\n")
    with pytest.raises(StorageError, match=large.journal):
        store.datasets.get("large")
    assert store.datasets.list() == []


def test_a_journal_that_is_gone_is_explained(store, large):
    path = store.datasets.folder("large") / large.journal
    path.unlink()
    with pytest.raises(StorageError, match="is gone"):
        store.datasets.get("large")
    path.touch()
    assert store.datasets.get("large") == large


def test_a_full_disk_takes_no_edit(store, large, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "fsync", full)
        with pytest.raises(StorageError):
            store.datasets.update_audio("large", "2.mp3", caption="lo")
    assert same_elsewhere(store) == large
    assert lines(store) == []


def test_journals_that_nobody_needs_are_removed(store, large):
    (store.datasets.folder("large") / "journal-00000000.jsonl").write_text("of a manifest before this one\n")
    store.recover()
    assert [path.name for path in store.datasets.folder("large").glob("journal-*")] == [large.journal]


def test_edits_that_an_earlier_release_did_not_know_stay(store, large):
    store.datasets.update_audio("large", "2.mp3", caption="lo")
    values = written(store)
    del values["journal"]
    (store.datasets.folder("large") / "manifest.json").write_text(json.dumps(values))
    store.recover()
    assert store.datasets.get("large").audio_files[2].caption == "la 2"
    assert (store.datasets.folder("large") / large.journal).is_file()


def test_processes_that_edit_one_dataset_lose_nothing(store, large):
    """Three processes write, each a line or the whole manifest, while this one reads."""
    setup = "from heartmula_studio.store import journaled; journaled.JOURNALED_TRACKS, journaled.ROOM_BYTES = 3, 9000"
    command = [sys.executable, "-c", f"{setup}\n{WRITER}", str(store.root), "large"]
    writers = [subprocess.Popen([*command, me], cwd=ROOT) for me in "abc"]
    while any(writer.poll() is None for writer in writers):
        assert store.datasets.get("large").audio_files[:6] == large.audio_files
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    found = same_elsewhere(store)
    assert len(found.styles) == 3 * 15
    assert len(found.audio_files) == 6 + 2 * 3 * 15 + 15
