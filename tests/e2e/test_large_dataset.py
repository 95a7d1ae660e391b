"""The table of a dataset of more tracks than are drawn at once: pages of it, found and sorted by the server."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from heartmula_studio.store.store import Store
from tests.e2e.acting import go_to
from tests.e2e.driving import open_page
from tests.large_dataset import NUM_TRACKS, add_large_dataset
from tests.still_studio import wait_until

NAME = "More than a page"


@pytest.fixture
def table(studio, page) -> Page:
    store = Store(studio.data_dir)
    dataset = add_large_dataset(store, NAME)
    wait_until(lambda: dataset.id in httpx.get(f"{studio.url}/training/datasets").text)  # it looks every two seconds
    open_page(page, studio)
    go_to(page, "Dataset")
    page.locator(".card", has=page.get_by_role("heading", name=NAME)).get_by_role("button", name="Open").click()
    yield page
    store.datasets.delete(dataset.id)


def see(page: Page, place: str, first: str) -> None:
    expect(page.get_by_role("navigation", name="Pages of tracks")).to_contain_text(place)
    expect(page.locator(".song-row:visible .track-name").first).to_have_text(first)


def test_a_large_dataset_is_paged_found_sorted_and_edited(table, studio):
    see(table, f"1 to 200 of {NUM_TRACKS} tracks", "track 0.mp3")
    table.get_by_role("button", name="Next ›").click()
    see(table, f"201 to 400 of {NUM_TRACKS} tracks", "track 200.mp3")
    table.get_by_role("button", name="‹ Previous").click()
    see(table, f"1 to 200 of {NUM_TRACKS} tracks", "track 0.mp3")
    table.get_by_label("Sort by").select_option("name")
    table.get_by_label("Show which tracks").select_option("words")
    see(table, "1 to 6 of 6 tracks", "track 0.mp3")
    table.get_by_label("Find in tracks").fill("500")
    see(table, "1 to 1 of 1 track", "track 500.mp3")
    tags = table.locator(".song-row:visible").get_by_label("Tags", exact=True)
    tags.fill("live")
    tags.press("Enter")
    store = Store(studio.data_dir)
    (id,) = (dataset.id for dataset in store.datasets.list() if dataset.name == NAME)
    wait_until(lambda: store.datasets.get_song(id, "track 500.mp3").tags == ("live",))
    table.get_by_label("Find in tracks").fill("nothing such")
    expect(table.locator(".song-row")).to_have_count(0)
    table.get_by_label("Find in tracks").fill("")
    see(table, "1 to 6 of 6 tracks", "track 0.mp3")
