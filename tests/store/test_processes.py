"""Several processes on one data folder, and processes that are killed at any moment."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heartmula_studio.store import journaled
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.store import Store
from tests.store.conftest import checkpoint_record

ROOT = Path(__file__).parent.parent.parent
DISK_EVENTS = frozenset(
    f"os.{name}" for name in ("rename", "remove", "mkdir", "rmdir", "link", "chmod", "listdir", "truncate")
) | {"open", "shutil.rmtree", "fcntl.flock"}

WRITER = """
import dataclasses, sys
from pathlib import Path
from heartmula_studio.errors import ConflictError
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.store import Store

store, id, me = Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
for number in range(15):
    store.datasets.update(id, lambda d: dataclasses.replace(d, styles=(*d.styles, f"{me} {number}")))
    for name, content in ((f"{me} {number}.mp3", f"{me} {number}"), ("same name.mp3", f"! {me} {number}")):
        with store.datasets.receive(id, name) as incoming:
            incoming.write(content.encode())
            store.datasets.add_audio(id, incoming, TrackAudio(1.0, 48000, 2))
    with store.datasets.receive(id, "shared.mp3") as incoming:
        incoming.write(f"shared {number}".encode())
        try:
            store.datasets.add_audio(id, incoming, TrackAudio(1.0, 48000, 2))
        except ConflictError:
            pass
"""


def test_processes_that_change_one_record_lose_nothing(store, dataset):
    command = [sys.executable, "-c", WRITER, str(store.root), dataset.id]
    writers = [subprocess.Popen([*command, me], cwd=ROOT) for me in "abc"]
    while any(writer.poll() is None for writer in writers):
        assert store.datasets.list() != []
        for song in store.datasets.get(dataset.id).audio_files:
            assert store.datasets.audio_path(dataset.id, song.filename).stat().st_size == song.size_bytes
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    songs = store.datasets.get(dataset.id).audio_files
    assert len(store.datasets.get(dataset.id).styles) == 1 + 3 * 15
    assert len({song.filename.lower() for song in songs}) == len({song.sha256 for song in songs}) == len(songs)
    assert len(songs) == 2 * 3 * 15 + 15
    assert_whole(store)


@pytest.mark.parametrize("how", ["whole", "journaled"])
def test_a_process_killed_at_any_moment_leaves_nothing_half_done(tmp_path, weights, how):
    """Kill a child before each of its accesses to the disk in turn, until it comes to its end."""
    num_kills = 0
    for store in killed_stores(tmp_path, weights, how):
        num_kills += 1
        assert_whole(store)
        store.recover()
        assert_whole(store)
        assert leftovers(store.root) == []
        if num_kills % 8 == 0:
            story(store, weights)
            assert_whole(store)
    assert num_kills > 60


def killed_stores(tmp_path: Path, weights: Path, how: str) -> Iterator[Store]:
    """A store for each moment at which a process that wrote there was killed.

    What forks them is a small process: with PyTorch and all, each would take ten times as long to start.
    """
    script = "import sys; from tests.store import test_processes; test_processes.write_and_die(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", script, str(tmp_path), str(weights), how], cwd=ROOT, check=True)
    for path in sorted(tmp_path.glob("killed-*")):
        yield Store(path)


def write_and_die(root: str, weights: str, how: str) -> None:
    """Tell the story in one child after another, each of which dies a moment later than the one before.

    how: "journaled" where the edits of any dataset go into a journal, of about two lines.
    """
    if how == "journaled":
        journaled.JOURNALED_TRACKS, journaled.ROOM_BYTES = 0, 1500
    is_killed, moment = True, 0
    while is_killed:
        store = Store(Path(root) / f"killed-{moment:04}")
        moment += 1
        child = os.fork()
        if child == 0:
            die_at(moment)
            story(store, Path(weights))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        is_killed = os.WIFSIGNALED(status)
        assert is_killed or status == 0
    shutil.rmtree(store.root)


def die_at(moment: int) -> None:
    left = iter(range(moment - 1, -1, -1))

    def count(event: str, arguments: object) -> None:
        if event in DISK_EVENTS and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def story(store: Store, weights: Path) -> None:
    """All kinds of writing, which may have been broken off anywhere by an earlier run of it."""
    dataset = store.datasets.create_dataset("Mine")
    for name in ("a.mp3", "b.mp3"):
        with store.datasets.receive(dataset.id, name) as incoming:
            incoming.write(name.encode())
            store.datasets.add_audio(dataset.id, incoming, TrackAudio(1.0, 48_000, 2))
        store.datasets.tokens_path(dataset.id, name).write_bytes(b"")
    store.datasets.remove_audio(dataset.id, "a.mp3")
    store.checkpoints.publish(weights, checkpoint_record("abc"))
    store.checkpoints.set_active("abc")
    store.checkpoints.set_active(None)
    store.checkpoints.delete("abc")
    store.datasets.delete(dataset.id)


def assert_whole(store: Store) -> None:
    """Whatever is there is listed, and whatever is listed is there with all its files."""
    for collection in (store.datasets, store.checkpoints):
        ids = {path.name for path in collection.root.iterdir() if path.is_dir() and path.name[0] != "."}
        assert {record.id for record in collection.list()} == ids
    for dataset in store.datasets.list():
        for song in dataset.audio_files:
            content = store.datasets.audio_path(dataset.id, song.filename).read_bytes()
            assert hashlib.sha256(content).hexdigest() == song.sha256
    for checkpoint in store.checkpoints.list():
        weights = store.checkpoints.folder(checkpoint.id) / "adapter_model.safetensors"
        assert weights.stat().st_size == 3_000_000
    store.checkpoints.active()


def leftovers(root: Path) -> list[str]:
    """Files of no record; `active.json` is written without a lock of its own name, so its temporary ages first."""
    listed = {
        f"{folder}/{name}"
        for dataset in Store(root).datasets.list()
        for folder, names in (
            ("audio", {song.filename for song in dataset.audio_files}),
            ("processed", {f"{song.filename[:-4]}.pt" for song in dataset.audio_files}),
        )
        for name in names
    } | {f"{dataset.id}/{dataset.journal}" for dataset in Store(root).datasets.list()}
    found = [path for path in (root / "datasets").rglob("*") if path.is_file() and path.name != "manifest.json"]
    hidden = [path for path in root.rglob(".tmp-*") if path.parent.name != "checkpoints"]
    return [str(path) for path in found if "/".join(path.parts[-2:]) not in listed] + [str(path) for path in hidden]


@pytest.mark.parametrize("how", ["start", "next import"])
def test_what_a_killed_process_was_receiving_goes_at_once(store, dataset, how):
    """**Low**: a killed import's zip lay for an hour."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with (
            store.datasets.receive(dataset.id, "a.mp3") as song,
            store.receive("style.zip", 10) as archive,
            store.scratch() as folder,
        ):
            song.write(b"x")
            archive.write(b"x")
            (folder / "file").write_text("x")
            os.write(writing, b".")
            signal.pause()
    os.read(reading, 1)

    def tidy() -> None:
        if how == "start":
            store.recover()
        else:
            with store.receive("style.zip", 10):
                pass

    def left() -> list[str]:
        folder = store.root if how == "next import" else store.datasets.folder(dataset.id) / "audio"
        return [path.name for path in [*store.root.glob(".tmp-*"), *folder.glob(".tmp-*")]]

    tidy()
    assert len(set(left())) == (2 if how == "next import" else 3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    tidy()
    assert left() == []
