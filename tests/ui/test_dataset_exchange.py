"""An import on the page says how far it is, and leaves nothing where it is stopped."""

import asyncio
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.studio import Studio
from heartmula_studio.ui.dataset_exchange import follow, start_import
from heartmula_studio.ui.import_progress import import_html, running_import, stop_import
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


async def shown(studio: Studio, id: str, own: object) -> list[tuple]:
    return [step async for step in follow(studio, id, own)]


def test_an_import_tells_how_far_it_is_and_ends_with_a_report(studio, archive):
    id, own = start_import(studio, str(archive), "Mine", "techno")
    *steps, (report, stop, dataset_id, file, sent) = asyncio.run(shown(studio, id, own))
    assert {stop["visible"] for _, stop, *_ in steps} <= {True}
    dataset = studio.datasets.get(dataset_id)
    assert (dataset.name, dataset.styles, file, sent) == ("Mine", ("techno",), None, ["Mine", "techno"])
    assert (stop["visible"], "has 3 songs" in report) == (False, True)
    assert not archive.exists()


def test_what_is_in_a_file_is_shown_as_text():
    shown = import_html(ImportTask("running", 1, 4, 25.0, "<i> a.ogg", id="x", name="y"))
    assert ("1 of 4 songs. &lt;i&gt; a.ogg" in shown, 'aria-valuenow="25"' in shown) == (True, True)
    assert "&lt;b&gt; is being opened" in import_html(ImportTask("running", id="x", name="<b>"))


def test_an_import_that_is_stopped_leaves_nothing_but_its_file(studio, archive):
    id, own = start_import(studio, str(archive), "", "")
    stop_import(studio, id)
    *_, (report, stop, dataset_id, *_) = asyncio.run(shown(studio, id, own))
    assert ("Nothing was imported" in report, stop["visible"]) == (True, False)
    assert dataset_id == gr.skip()
    assert studio.datasets.list() == []
    assert not any(studio.settings.data_dir.glob(".tmp-*"))
    assert archive.exists()


def test_another_page_shows_the_import_and_opens_nothing(studio, archive):
    id, _ = start_import(studio, str(archive), "", "")
    found = running_import(studio, False, "")
    assert found in (id, gr.skip())  # the latter where it was that quick
    *_, (report, _, dataset_id, file, sent) = asyncio.run(shown(studio, id, None))
    assert "has 3 songs" in report
    assert (dataset_id, file, sent) == (gr.skip(), gr.skip(), [])
    assert running_import(studio, False, id) == gr.skip()


def test_an_import_that_fails_says_why_and_keeps_the_file(studio, tmp_path):
    (tmp_path / "songs.zip").write_bytes(b"PK\3\4 no more")
    id, own = start_import(studio, str(tmp_path / "songs.zip"), "", "")
    *_, (report, _, dataset_id, file, _) = asyncio.run(shown(studio, id, own))
    assert "songs.zip cannot be unpacked" in report
    assert (dataset_id, file) == (gr.skip(), gr.skip())
    assert (tmp_path / "songs.zip").exists()
