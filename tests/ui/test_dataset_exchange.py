"""An import on the page says how far it is, and leaves nothing where it is stopped."""

import zipfile
from pathlib import Path

import pytest

from heartmula_studio.studio import Studio
from heartmula_studio.ui.dataset_exchange import import_dataset
from tests.recordings import SONGS
from tests.still_studio import settings_for, still_studio


@pytest.fixture
def studio(tmp_path) -> Studio:
    return still_studio(settings_for(tmp_path / "data"))


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / "Nights.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for song in SONGS[:3]:
            opened.write(song, f"<i> {song.name}")
    return path


def test_an_import_tells_each_song_and_ends_with_a_report(studio, archive):
    *steps, (id, report, file, fields, stop) = import_dataset(studio, str(archive), "Mine", "techno")
    assert [report.partition(" so far")[0].rpartition(">")[2] for _, report, *_ in steps] == [
        "1 song",
        "2 songs",
        "3 songs",
    ]
    assert all("&lt;i&gt; " in report for _, report, *_ in steps)
    assert {stop["visible"] for *_, stop in steps} == {True}
    assert (studio.datasets.get(id).name, file, fields, stop["visible"]) == ("Mine", None, ["Mine", "techno"], False)
    assert "has 3 songs" in report
    assert not archive.exists()


def test_an_import_that_is_stopped_leaves_nothing_but_its_file(studio, archive):
    steps = import_dataset(studio, str(archive), "", "")
    next(steps)
    assert any(studio.settings.data_dir.glob(".tmp-*"))
    steps.close()
    assert studio.datasets.list() == []
    assert not any(studio.settings.data_dir.glob(".tmp-*"))
    assert archive.exists()
