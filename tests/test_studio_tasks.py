"""Imports and cleanings in the background: how far they are, stopped, failed, and at their end."""

import threading
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from heartmula_studio.cli.datasets import import_dataset
from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.errors import CancelledError, ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.services.library import imports
from heartmula_studio.studio import Studio
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio, wait_until

LEVEL = CleanSettings(trim_silence=False, loudness_lufs=-30.0)


@pytest.fixture
def studio(tmp_path) -> Studio:
    return still_studio(settings_for(tmp_path / "data"))


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / "Nights.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for song in SONGS[:3]:
            opened.write(song, song.name)
        opened.writestr("cover.jpg", b"x")
    return path


def nothing_is_left(studio: Studio) -> bool:
    return studio.datasets.list() == [] and not any(studio.settings.data_dir.glob(".tmp-*"))


# --- imports ------------------------------------------------------------------------------------------------------


def test_an_import_in_the_background_ends_as_a_dataset(studio, archive):
    task = studio.imports.start(archive, archive.name, styles=["techno"])
    assert (task.status, task.name) == ("running", "Nights.zip")
    wait_until(lambda: studio.imports.get(task.id).status != "running")
    ended = studio.imports.get(task.id)
    assert (ended.status, ended.name, ended.done, ended.total, ended.progress) == ("completed", "Nights", 3, 3, 100)
    assert [item.name for item in ended.skipped] == ["cover.jpg"]
    dataset = studio.datasets.get(ended.dataset_id)
    assert (len(dataset.audio_files), dataset.styles) == (3, ("techno",))
    assert studio.imports.list() == [ended]
    assert archive.exists()
    with pytest.raises(ConflictError, match="Nothing is running"):
        studio.imports.cancel(task.id)
    with pytest.raises(NotFoundError, match="no import 'another'"):
        studio.imports.get("another")


def test_each_song_is_told_before_it_is_read(studio, archive, monkeypatch):
    told = []

    class Watched(imports.RunningTask):
        def begin(self, track: str) -> None:
            super().begin(track)
            told.append((self.state.track, self.state.done, self.state.total, round(self.state.progress)))

    monkeypatch.setattr("heartmula_studio.services.tasks.RunningTask", Watched)
    studio.imports.run(archive, archive.name)
    assert told == [(song.name, done, 3, round(100 * done / 3)) for done, song in enumerate(SONGS[:3])]


def test_rows_of_a_table_are_counted_before_they_are_read(studio, tmp_path):
    rows = [{"audio": {"bytes": song.read_bytes(), "path": song.name}} for song in SONGS[:2]]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "songs.parquet")
    first, *_ = studio.imports.local_one_by_one(tmp_path / "songs.parquet")
    assert (first.done, first.total) == (0, 2)


@pytest.mark.parametrize("where", ["before", "amid", "at the end"])
def test_an_import_that_is_stopped_leaves_nothing(studio, archive, monkeypatch, where):
    """Wherever that happens: while the archive is opened, between two songs, and as the last one has come in."""
    song = {"before": 0, "amid": 1, "at the end": 2}[where]
    change = imports.RunningTask.change

    def stopping(task, of_track: float = 0.0, **changes) -> None:
        change(task, of_track, **changes)
        if task.state.done == song and task.state.total:
            (going,) = studio.imports.list()
            studio.imports.cancel(going.id)

    monkeypatch.setattr(imports.RunningTask, "change", stopping)
    with pytest.raises(CancelledError):
        studio.imports.run(archive, archive.name)
    assert [task.status for task in studio.imports.list()] == ["cancelled"]
    assert nothing_is_left(studio)


def test_a_stop_that_comes_as_the_last_song_is_read_is_heeded(studio, archive):
    stop = threading.Event()
    steps = studio.datasets.exchange().import_upload_one_by_one(archive, archive.name, cancelled=stop.is_set)
    for step in steps:
        if step.done == 2:
            break
    stop.set()
    with pytest.raises(CancelledError):
        next(steps)
    assert nothing_is_left(studio)


def test_an_archive_that_is_being_unpacked_is_stopped(studio, archive):
    steps = studio.datasets.exchange().import_upload_one_by_one(archive, archive.name, cancelled=lambda: True)
    with pytest.raises(CancelledError):
        next(steps)
    assert nothing_is_left(studio)


def test_an_import_that_fails_says_why_and_leaves_nothing(studio, tmp_path):
    (tmp_path / "songs.zip").write_bytes(b"PK\3\4 no more")
    task = studio.imports.start(tmp_path / "songs.zip", "songs.zip")
    wait_until(lambda: studio.imports.get(task.id).status != "running")
    failed = studio.imports.get(task.id)
    assert (failed.status, failed.error.code, failed.dataset_id) == ("failed", "invalid_input", None)
    assert "songs.zip cannot be unpacked" in failed.error.message
    assert nothing_is_left(studio)
    with pytest.raises(InvalidInputError):
        studio.imports.run(tmp_path / "songs.zip", "songs.zip")


def test_a_server_that_closes_stops_its_imports(studio, archive):
    task = studio.imports.start(archive, archive.name)
    studio.imports.close()
    ended = studio.imports.get(task.id)
    assert (ended.status == "cancelled" and nothing_is_left(studio)) or ended.status == "completed"


def test_a_shell_shows_how_far_an_import_is(studio, archive, capsys):
    import_dataset(studio, Namespace(source=str(archive), name="", styles="", split=""))
    said = capsys.readouterr()
    assert "3 songs, 1 left out" in said.out
    assert "3/3" in said.err


# --- cleaning -----------------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(studio):
    return filled(studio, 3)


def test_a_cleaning_in_the_background_tells_each_song(studio, dataset):
    assert studio.datasets.get_cleaning(dataset.id).status == "idle"
    task = studio.datasets.start_cleaning(dataset.id, (), LEVEL)
    assert (task.status, task.total) == ("running", 3)
    wait_until(lambda: studio.datasets.get_cleaning(dataset.id).status != "running")
    ended = studio.datasets.get_cleaning(dataset.id)
    assert (ended.status, ended.done, ended.progress, ended.track) == ("completed", 3, 100, "")
    assert [track.filename for track in ended.tracks] == [track.filename for track in dataset.audio_files]
    assert all(track.gain_db < 0 for track in ended.tracks)
    with pytest.raises(NotFoundError):
        studio.datasets.start_cleaning("nothing", (), LEVEL)
    with pytest.raises(NotFoundError):
        studio.datasets.start_cleaning(dataset.id, ["no.wav"], LEVEL)


def test_a_cleaning_that_is_stopped_keeps_what_is_whole(studio, dataset):
    steps = studio.datasets.clean_tracks(dataset.id, (), LEVEL)
    next(steps)
    state = studio.datasets.get_cleaning(dataset.id)
    assert (state.status, state.done, state.track) == ("running", 1, dataset.audio_files[0].filename)
    with pytest.raises(ConflictError, match="being cleaned"):
        studio.datasets.start_cleaning(dataset.id, (), LEVEL)
    studio.datasets.cancel_cleaning(dataset.id)
    with pytest.raises(CancelledError):
        next(steps)
    assert studio.datasets.get_cleaning(dataset.id).status == "cancelled"
    cleaned = studio.datasets.get(dataset.id).audio_files
    assert [track.cleaned is not None for track in cleaned] == [True, False, False]
    assert list(studio.datasets.restore_tracks(dataset.id, ()))[0].gain_db == 0.0
    assert studio.datasets.get(dataset.id).audio_files == dataset.audio_files


def test_a_cleaning_is_stopped_within_a_song(studio, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(size=(60 * 44_100, 2)) / 10, 44_100)
    dataset = filled(studio, 1, [tmp_path / "long.wav"])
    studio.datasets.start_cleaning(dataset.id, (), LEVEL)
    wait_until(lambda: studio.datasets.get_cleaning(dataset.id).track != "")
    studio.datasets.cancel_cleaning(dataset.id)
    wait_until(lambda: studio.datasets.get_cleaning(dataset.id).status != "running")
    assert studio.datasets.get_cleaning(dataset.id).status == "cancelled"
    assert studio.datasets.get(dataset.id).audio_files == dataset.audio_files
    assert not any(studio.settings.data_dir.glob(".tmp-*"))
