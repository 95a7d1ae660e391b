"""The data folder as a whole: locks, temporaries, and what a disk can refuse."""

import json
import os
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from heartmula_studio.errors import ConflictError, StorageError
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.store import Store
from tests.store.conftest import checkpoint_record

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def files_limited_to(size_bytes: int):
    """Make every write beyond that many bytes of a file fail, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def everything_in(folder: Path) -> list[str]:
    """All files and folders but the locks."""
    paths = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(path for path in paths if not path.startswith(".locks"))


def test_a_folder_is_a_store_again_and_again(tmp_path):
    dataset = Store(tmp_path / "a" / "b").datasets.create_dataset("Mine")
    assert Store(tmp_path / "a" / "b").datasets.list() == [dataset]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/heartmula"])
def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / place)
    assert place in caught.value.message
    assert caught.value.hint


def test_a_path_that_leaves_no_room_for_names_is_said_at_once(tmp_path):
    """On Windows 260 characters are all there are; here 4,096."""
    root = tmp_path
    while len(str(root)) < 3700:
        root /= "a" * 200
    root /= "a" * (3950 - len(str(root)))
    with pytest.raises(StorageError) as caught:
        Store(root)
    assert "shorter path" in caught.value.hint


def test_a_lock_can_be_taken_again_by_its_thread_only(tmp_path, store):
    seen = []

    def look():
        with Store(tmp_path / "data").attempt("queue") as is_free:
            seen.append(is_free)

    def look_in_a_thread() -> bool:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return seen.pop()

    with store.lock("queue"):
        with store.lock("queue"):
            assert not look_in_a_thread()
        assert not look_in_a_thread()
    assert look_in_a_thread()


def test_a_lock_that_is_not_let_go_of_is_a_conflict(store):
    held, done = threading.Event(), threading.Event()

    def hold():
        with store.lock("queue"):
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with pytest.raises(ConflictError, match="queue has been in use"), store.lock("queue", wait_sec=0.05):
        pass
    done.set()
    thread.join()
    with store.lock("queue", wait_sec=0.05):
        pass


def test_an_error_inside_a_lock_stays_what_it_is(store):
    with pytest.raises(FileNotFoundError), store.lock("queue"):
        open(store.root / "missing")  # noqa: SIM115
    with pytest.raises(ZeroDivisionError), store.scratch():
        raise ZeroDivisionError
    assert everything_in(store.root) == ["checkpoints", "datasets", "generations", "jobs"]


def test_recovery_leaves_what_is_being_written(store, dataset):
    with store.scratch() as folder, store.datasets.receive(dataset.id, "a.mp3") as incoming:
        (folder / "file").write_text("x")
        incoming.write(b"x")
        os.utime(incoming.path, (1, 1))
        os.utime(folder, (1, 1))
        store.recover()
        assert (folder / "file").read_text() == "x"
        incoming.write(b"y")
        store.datasets.add_audio(dataset.id, incoming, TrackAudio(1.0, 48_000, 1))
    assert store.datasets.audio_path(dataset.id, "a.mp3").read_bytes() == b"xy"


def test_recovery_leaves_a_record_that_is_being_made(store):
    def fill(folder):
        thread = threading.Thread(target=store.recover)
        thread.start()
        thread.join()
        (folder / "file").write_text("")

    store.checkpoints.create(checkpoint_record("abc"), fill)
    assert everything_in(store.checkpoints.folder("abc")) == ["file", "meta.json"]


def test_recovery_removes_old_temporaries_and_unlisted_files(store, dataset, add_song):
    add_song("kept.mp3")
    folder = store.datasets.folder(dataset.id)
    (folder / "processed" / "kept.pt").write_bytes(b"")
    before = everything_in(store.root)
    leftovers = [
        *(folder / "audio" / "unlisted.mp3", folder / "processed" / "unlisted.pt", folder / ".tmp-abcdefgh.json"),
        *(folder / "processed" / ".tmp-uabcdefg.pt", folder / "audio" / ".tmp-upload-0123456789abcdef.mp3"),
        *(store.root / ".tmp-abcdefgh.json", store.checkpoints.root / ".tmp-abcdefgh.json"),
    ]
    for path in leftovers:
        path.write_bytes(b"")
        os.utime(path, (1, 1))
    (store.datasets.root / f".tmp-{dataset.id}-01234567").mkdir()
    (store.jobs.root / ".tmp-gone-job-01234567").mkdir()
    (store.root / ".tmp-scratch-0123456789abcdef").mkdir()
    store.recover()
    assert everything_in(store.root) == before
    assert list((store.root / ".locks").iterdir()) == []


def test_recovery_of_one_dataset_that_cannot_be_read_leaves_the_others_theirs(store, dataset):
    other = store.datasets.create_dataset("Other")
    (store.datasets.folder(dataset.id) / "processed").rmdir()
    unlisted = store.datasets.folder(other.id) / "audio" / "unlisted.mp3"
    unlisted.write_bytes(b"")
    store.recover()
    assert not unlisted.exists()


def test_recovery_keeps_a_song_whose_name_came_back_in_another_unicode_form(store, dataset, add_song):
    add_song("caf\u00e9.mp3")
    path = store.datasets.audio_path(dataset.id, "caf\u00e9.mp3")
    path.rename(path.with_name("cafe\u0301.mp3"))
    store.recover()
    assert [path.name for path in path.parent.iterdir()] == ["cafe\u0301.mp3"]


def test_recovery_leaves_young_temporaries_of_other_programs(store, dataset):
    path = store.datasets.folder(dataset.id) / "processed" / ".tmp-abcdefgh.pt"
    path.write_bytes(b"")
    store.recover()
    assert path.exists()


def test_a_full_disk_is_named_and_changes_nothing(store, dataset, add_song):
    """The end of a refused upload tried the disk again, and raised a bare OSError."""
    add_song("a.mp3")
    before, record = everything_in(store.root), store.datasets.get(dataset.id)
    full = pytest.raises(StorageError, match="File too large")
    with files_limited_to(200):
        with full:
            store.datasets.create_dataset("x" * 200)
        with full:
            store.datasets.rename(dataset.id, "x" * 200)
        with full:
            add_song("b.mp3", bytes(201))
        with full:
            add_song("b.mp3", b"the file fits but not the record")
        with full:
            store.datasets.add_text(dataset.id, "b.txt", "x" * 200)
    assert everything_in(store.root) == before
    assert store.datasets.get(dataset.id) == record
    assert add_song("b.mp3").filename == "b.mp3"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(store, dataset):
    folder = store.datasets.folder(dataset.id)
    folder.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied") as caught:
        store.datasets.rename(dataset.id, "New")
    folder.chmod(0o700)
    assert "HEARTMULA_DATA_DIR" in caught.value.hint


def test_the_store_starts_without_the_heavy_libraries():
    script = (
        "import sys, heartmula_studio.store.store; print([m for m in ('torch', 'gradio', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_records_are_plain_json_with_a_schema(store, dataset):
    stored = json.loads((store.datasets.folder(dataset.id) / "manifest.json").read_text(encoding="utf-8"))
    assert stored["schema"] == 1
    assert stored["name"] == "Mine"
