"""Records that a crash, a person or another program has damaged: never listed, never waited for, always explained."""

import json
import os
import socket

import pytest

from heartmula_studio.errors import StorageError
from heartmula_studio.store.record_file import MAX_BYTES
from heartmula_studio.store.records import AudioFile, Checkpoint, Dataset, Generation, Job

NOW = "2026-01-01T00:00:00+00:00"
TRACK = AudioFile("a.wav", "la", ("pop",), "own", 60.0, 48_000, 2, 1000, "f00", NOW)
RECORDS = {
    "datasets": Dataset("bad", "Mine", (), NOW, audio_files=(TRACK,)),
    "jobs": Job("bad", "d1", "Mine", "lora", 1, 1e-4, 8, "nano", "cpu", {}, NOW),
    "checkpoints": Checkpoint("bad", "Mine 1", (), "lora", {}, None, None, 0, NOW),
    "generations": Generation("bad", {"tags": "pop"}, "wav", NOW),
}


def track(**changes) -> dict:
    record = RECORDS["datasets"].to_dict()
    return {**record, "audio_files": [{**record["audio_files"][0], **changes}]}


def of(kind: str, **changes) -> dict:
    return {**RECORDS[kind].to_dict(), **changes}


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


EDITED = {
    "NaN": ("datasets", track(duration_sec=float("nan"))),
    "infinite": ("datasets", track(duration_sec=float("inf"))),
    "NaN in a free field": ("generations", of("generations", request={"temperature": float("nan")})),
    "infinite in a free field": ("checkpoints", of("checkpoints", recipe={"config": [float("-inf")]})),
    "negative length": ("datasets", track(duration_sec=-1.0)),
    "negative rate": ("datasets", track(sample_rate=-48_000)),
    "negative size": ("checkpoints", of("checkpoints", size_bytes=-1)),
    "negative step": ("jobs", of("jobs", step=-1)),
    "no minimum": ("datasets", of("datasets", minimum_files=0)),
    "over 100 percent": ("generations", of("generations", progress=1e30)),
    "whole number of 400 digits": ("jobs", of("jobs", config={"seed": 10**400})),
    "longer than any song": ("datasets", track(duration_sec=1e300)),
    "100,000 tracks": ("datasets", of("datasets", audio_files=[{"filename": "a.wav"}] * 100_000)),
    "two tracks of one name": ("datasets", of("datasets", audio_files=track()["audio_files"] * 2)),
    "text for a list": ("datasets", of("datasets", audio_files="a.wav")),
    "list for text": ("datasets", of("datasets", name=["Mine"])),
    "a path for a name": ("datasets", track(filename="../../secret.wav")),
    "lyrics that are a list": ("generations", of("generations", request={"lyrics": ["la"]})),
    "no time": ("generations", of("generations", created_at="yesterday")),
    "nested in a free field": ("generations", of("generations", request={"tags": nested(200)})),
    "nested in a known field": ("datasets", of("datasets", audio_files=nested(500))),
}


@pytest.mark.parametrize(("kind", "values"), EDITED.values(), ids=EDITED)
def test_a_record_edited_to_nonsense_is_explained_and_the_others_are_listed(store, kind, values):
    collection = getattr(store, kind)
    place_bad(collection, lambda path: path.write_text(json.dumps(values)))
    for _ in range(2):
        assert [record.id for record in collection.list()] == ["good"]
        with pytest.raises(StorageError) as caught:
            collection.get("bad")
    assert "bad/" in caught.value.message
    assert len(caught.value.message) < 1000
    assert caught.value.hint
    collection.delete("bad")
    assert not (collection.root / "bad").exists()


def giant(path):
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)


def socket_at(path):
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:  # by way of a short name: a socket's has at most 108 bytes
        server.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


STRANGE = {
    "a pipe": os.mkfifo,
    "a socket": socket_at,
    "a folder": os.mkdir,
    "a loop of links": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere": lambda path: path.symlink_to("gone"),
    "a giant file": giant,
}


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
def test_what_is_no_file_of_ours_blocks_no_list_and_can_be_deleted(store, kind, make):
    """A pipe as a manifest kept the list waiting for ever."""
    collection = getattr(store, kind)
    place_bad(collection, make)
    assert [record.id for record in collection.list()] == ["good"]
    if make is not STRANGE["a link to nowhere"]:
        with pytest.raises(StorageError):
            collection.get("bad")
    collection.delete("bad")
    assert sorted(path.name for path in collection.root.iterdir()) == ["good"]


def place_bad(collection, make) -> None:
    record = RECORDS[collection.kind]
    for id in ("bad", "good"):
        collection.create(type(record)(**{**vars(record), "id": id}))
    path = collection.root / "bad" / collection.manifest
    path.unlink()
    make(path)


@pytest.mark.parametrize("name", ["\\ud800", "\\udfff la"])
def test_a_lone_surrogate_written_by_another_program_becomes_a_question_mark(store, name):
    """One of them in one manifest made the whole list a 500."""
    record = store.datasets.create_dataset("Mine")
    path = store.datasets.folder(record.id) / "manifest.json"
    path.write_text(path.read_text().replace("Mine", name))
    assert store.datasets.list()[0].name.startswith("?")
    assert store.datasets.get(record.id).name.encode()


def test_escaped_pairs_stay_characters(store):
    record = store.datasets.create_dataset("Mine")
    path = store.datasets.folder(record.id) / "manifest.json"
    path.write_text(path.read_text().replace("Mine", "\\ud83c\\udfb5"))
    assert store.datasets.get(record.id).name == "🎵"


def test_what_cannot_be_tidied_up_keeps_no_server_from_starting(store):
    (store.datasets.root / ".tmp-abc-12345678").mkdir()
    for name in ("datasets-abc.lock", "Not Ours.lock"):
        (store.root / ".locks" / name).mkdir()
    store.recover()
