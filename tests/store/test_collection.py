"""What holds for every kind of record."""

import json
import os
from dataclasses import replace

import pytest

from heartmula_studio.errors import ConflictError, NotFoundError, StorageError
from heartmula_studio.files.memory_only import NotInMemoryError, memory_only
from heartmula_studio.store.records import Generation
from heartmula_studio.store.store import Store

HOSTILE_IDS = [
    *("", ".", "..", "../x", "/etc", "a/b", "a\\b", "a\0b", "A", "ä", "a\n", "-a", ".locks", ".tmp-a", "a" * 65),
    *("%2e%2e", "a b", "a:b", "\u2024\u2024", "ａ", "con.", "*", "unknown", "active.json"),
]


def song(id: str, created_at: str = "2026-01-01") -> Generation:
    return Generation(id, {"tags": "pop"}, "wav", created_at)


@pytest.mark.parametrize("id", [*HOSTILE_IDS, None, 7])
def test_an_id_that_is_none_is_not_found(store, id):
    for collection in (store.datasets, store.jobs, store.checkpoints, store.generations):
        for call in (collection.get, collection.folder, collection.delete, collection.locked):
            with pytest.raises(NotFoundError):
                call(id)
        with pytest.raises(NotFoundError):
            collection.update(id, lambda record: record)
    assert len(list((store.root / ".locks").iterdir())) <= 1  # that of the active checkpoint


def test_ids_are_new_short_and_safe(store):
    ids = {store.jobs.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 12 and id.isascii() and id.isalnum() and id.islower() | id.isdigit() for id in ids)


def test_records_are_listed_oldest_first(store):
    for id, created_at in (("b", "2026-01-02"), ("c", "2026-01-01"), ("a", "2026-01-03")):
        store.generations.create(song(id, created_at))
    assert [record.id for record in store.generations.list()] == ["c", "b", "a"]


def test_a_record_comes_back_as_it_was(tmp_path, store):
    written = store.generations.create(replace(song("a"), request={"tags": "é 🎵", "seed": 3}, progress=0.25))
    assert Store(tmp_path / "data").generations.get("a") == written


def test_text_that_is_no_unicode_can_be_stored(store):
    """A lone surrogate, which JSON can spell, ended every write with UnicodeEncodeError."""
    store.generations.create(replace(song("a"), message="\ud800"))
    assert store.generations.list()[0].message == "?"


def test_a_record_is_written_as_earlier_releases_wrote_it(store):
    record = replace(song("a"), request={"tags": 'é "🎵"\n', "seed": 3}, progress=0.25, status="completed")
    assert record.to_json() == json.dumps(record.to_dict(), ensure_ascii=False, indent=1).encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_no_reader_takes_is_not_written(store, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(song("a"), request={"temperature": number}).to_json()
    words = replace(song("a"), message="NaN and Infinity")
    assert json.loads(words.to_json())["message"] == "NaN and Infinity"


def test_an_id_is_taken_once(store):
    store.generations.create(song("a"))
    with pytest.raises(ConflictError):
        store.generations.create(replace(song("a"), message="another"))
    assert store.generations.get("a").message == ""


def test_a_folder_appears_with_all_that_belongs_in_it(store):
    def fill(folder):
        assert store.generations.list() == []
        (folder / "words.txt").write_text("la la")

    store.generations.create(song("a"), fill)
    assert (store.generations.folder("a") / "words.txt").read_text() == "la la"


def test_nothing_is_left_where_filling_fails(store):
    def fill(folder):
        (folder / "half").write_text("")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.generations.create(song("a"), fill)
    assert list(store.generations.root.iterdir()) == []


def test_an_update_that_fails_changes_nothing(store):
    store.generations.create(song("a"))
    with pytest.raises(ZeroDivisionError):
        store.generations.update("a", lambda record: replace(record, progress=1 / 0))
    assert store.generations.get("a") == song("a")
    assert [path.name for path in store.generations.folder("a").iterdir()] == ["manifest.json"]


def test_an_update_is_seen_though_its_file_looks_the_same(store):
    """Two updates within one tick of the file system's clock look alike from outside."""
    store.generations.create(replace(song("a"), message="one"))
    path = store.generations.folder("a") / "manifest.json"
    for message in ("one", "two"):
        path.write_bytes(replace(song("a"), message=message).to_json())
        os.utime(path, (2**33, 2**33))  # in the future, so not at rest
        assert store.generations.get("a").message == message


def test_a_record_at_rest_is_read_from_disk_once(store):
    store.generations.create(song("a"))
    path = store.generations.folder("a") / "manifest.json"
    os.utime(path, (1, 1))
    first = store.generations.get("a")
    assert store.generations.list() == [first]
    assert store.generations.get("a") is first


def test_a_list_is_the_same_one_until_something_in_it_changes(store):
    """Also where another process changes it, whose store shares nothing with this one but the folder."""
    for id in ("a", "b"):
        store.generations.create(song(id))
    rest(store.generations.root)
    first = store.generations.records()
    assert store.generations.records() is first
    other = Store(store.root).generations
    other.update("a", lambda record: replace(record, message="changed"))
    second = store.generations.records()
    assert [record.message for record in second] == ["changed", ""]
    assert second[1] is first[1]
    rest(store.generations.root)
    other.delete("b")
    assert [record.id for record in store.generations.records()] == ["a"]


def test_a_list_tells_in_the_end_what_was_changed_by_hand(store, monkeypatch):
    store.generations.create(song("a"))
    rest(store.generations.root)
    assert store.generations.list() == [song("a")]
    changed = replace(song("a"), message="by hand")
    (store.generations.folder("a") / "manifest.json").write_bytes(changed.to_json())
    monkeypatch.setattr("heartmula_studio.store.collection.RESCAN_SEC", 0)
    assert store.generations.list() == [changed]


def test_what_memory_does_not_hold_is_not_waited_for(store):
    store.generations.create(song("a"))
    with memory_only(), pytest.raises(NotInMemoryError):
        store.generations.get("a")
    rest(store.generations.root)
    first = store.generations.records()
    with memory_only():
        assert store.generations.records() is first
        assert store.generations.get("a") is first[0]


def rest(root):
    """Make a folder and its records look as if they had not been touched for long."""
    for path in (*root.glob("*/manifest.json"), root):
        os.utime(path, (1, 1))


def test_a_deleted_record_is_gone_with_its_files(store):
    store.generations.create(song("a"), lambda folder: (folder / "song.wav").write_text(""))
    assert store.generations.list() == [song("a")]
    store.generations.delete("a")
    assert list(store.generations.root.iterdir()) == []
    assert list((store.root / ".locks").iterdir()) == []
    with pytest.raises(NotFoundError, match="There is no song 'a'"):
        store.generations.get("a")


BROKEN = {
    "empty": b"",
    "cut short": b'{"schema": 1, "id": "a"',
    "not text": b"\xff\xfe\0",
    "another kind": b"[]",
    "no schema": b"{}",
    "schema of the future": json.dumps({**song("a").to_dict(), "schema": 2}).encode(),
    "field missing": json.dumps({"schema": 1, "id": "a"}).encode(),
    "field of the wrong kind": json.dumps({**song("a").to_dict(), "progress": "much"}).encode(),
    "unknown status": json.dumps({**song("a").to_dict(), "status": "lost"}).encode(),
    "another's": json.dumps(song("b").to_dict()).encode(),
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_damaged_record_is_not_listed_but_explained_and_can_be_deleted(store, content):
    store.generations.create(song("a"))
    store.generations.create(song("good"))
    (store.generations.folder("a") / "manifest.json").write_bytes(content)
    assert store.generations.list() == [song("good")]
    with pytest.raises(StorageError) as caught:
        store.generations.get("a")
    assert "manifest.json" in caught.value.message
    assert caught.value.hint
    with pytest.raises(StorageError):
        store.generations.update("a", lambda record: record)
    store.recover()
    store.generations.delete("a")
    assert [path.name for path in store.generations.root.iterdir()] == ["good"]


def test_strangers_in_the_folder_are_not_listed(store):
    root = store.generations.root
    for name in ("empty", ".tmp-abc-12345678", "Großes", "a b"):
        (root / name).mkdir()
    (root / "file").write_text("")
    assert store.generations.list() == []
    with pytest.raises(NotFoundError):
        store.generations.get("empty")
