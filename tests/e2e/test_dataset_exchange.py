"""A dataset comes in as a zip and goes out again, on the page."""

import re
import zipfile

import pytest
from playwright.sync_api import expect

from tests.e2e.acting import go_to
from tests.e2e.driving import open_page
from tests.recordings import SONGS


@pytest.mark.long
def test_a_dataset_comes_in_and_goes_out(page, studio, tmp_path):
    with zipfile.ZipFile(tmp_path / "Nights.zip", "w") as archive:
        archive.write(SONGS[0], "a.ogg")
        archive.writestr("metadata.csv", "file_name,lyrics,rights\na.ogg,la la,own\n")
        archive.writestr("<b>cover</b>.jpg", b"x")
    open_page(page, studio)
    go_to(page, "Dataset")
    page.get_by_role("button", name="Import a dataset").click()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "Nights.zip")
    expect(page.get_by_text("Nights.zip").first).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("“Nights” has 1 song.")).to_be_visible()
    expect(page.get_by_text("<b>cover</b>.jpg")).to_be_visible()
    expect(page.get_by_role("heading", name="Nights", exact=True).last).to_be_visible()
    page.get_by_role("button", name="Export this dataset").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export", exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert set(archive.namelist()) == {"a.ogg", "metadata.jsonl"}
        assert b'"rights": "own"' in archive.read("metadata.jsonl")


@pytest.mark.long
def test_a_dataset_from_the_hub_is_stopped_and_taken_in(page, studio, hub):
    hub.add("musician/songs", {song.name: song.read_bytes() for song in SONGS[:2]}, "dataset")
    hub.hold = "download"
    open_page(page, studio)
    go_to(page, "Dataset")
    page.get_by_role("button", name="Datasets on the Hugging Face Hub").click()
    page.get_by_label("Dataset on the Hub").fill("musician/songs")
    take = page.get_by_role("button", name="Import it").locator("visible=true")
    take.click()
    expect(page.get_by_text(re.compile("0 .?B of .* of musician/songs"))).to_be_visible()
    page.get_by_role("button", name="Stop importing").locator("visible=true").click()
    expect(page.get_by_text("Stopped. Nothing was imported.")).to_be_visible()
    hub.hold = None
    hub.released.set()
    take.click()
    expect(page.get_by_text("“songs” has 2 songs.")).to_be_visible()
    expect(page.get_by_role("heading", name="songs", exact=True).last).to_be_visible()
