"""Every tab, empty and filled, dark and light: no barriers that axe knows. At four widths, of which one is that of a
usual window at 200 %: nothing wider than the window, no text cut off or on another one, no button that breaks a word,
no stray scrollbar, no dashed line where nothing can be dropped, no edge in the background, one main action.

HEARTMULA_SCREENSHOTS=FOLDER keeps a picture of each.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from heartmula_studio.store.store import Store
from tests.e2e.acting import go_to, see_filled
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import (
    broken_words,
    drawn,
    misplaced_texts,
    open_page,
    scrolls_sideways,
    stray_scrollbars,
    violations,
)
from tests.ladders import make_ladder
from tests.long_tests import HAS_TIME
from tests.still_studio import wait_until, zipped_adapter
from tests.studio_server import Server, running_server

TABS = ("Create", "Dataset", "Training", "Jobs", "Models")
MAIN_ACTIONS = {"Create": "Generate", "Dataset": "Train on these songs", "Training": "Start training"}
NUM_SONGS = 6  # of the examples
WIDTHS = (390, 640, 1024, 1920) if HAS_TIME else (390, 1920)
THEMES = ("light", "dark") if HAS_TIME else ("dark",)
SCREENSHOTS = os.environ.get("HEARTMULA_SCREENSHOTS")
MAX_STEP = 3  # of 255, from a row of the background to the next
DASHED = """() => [...document.querySelectorAll("*")].filter(element => element.checkVisibility())
  .filter(element => (style => style.borderTopStyle === "dashed" && style.borderTopWidth !== "0px")
    (getComputedStyle(element))).map(element => element.className)"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Server]:
    """One that nobody has used before."""
    with running_server(tmp_path_factory.mktemp("tabs") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def page(browser, studio) -> Iterator[Page]:
    with lasting_page(browser) as page:
        open_page(page, studio)
        yield page


@pytest.fixture(scope="module")
def filled(studio, tmp_path_factory) -> None:
    """A dataset, a job that has ended, two styles of which one is active, and a song."""
    with httpx.Client(base_url=studio.url, timeout=180) as client:
        fill(client, studio, zipped_adapter(tmp_path_factory.mktemp("adapter")))


def fill(client: httpx.Client, studio: Server, adapter: Path) -> None:
    dataset = post(client, "/training/datasets/examples")
    song = post(client, "/generate/music", json={"tags": "techno, fast", "duration_sec": 1, "seed": 1})
    files = {"file": (adapter.name, adapter.read_bytes())}
    style = post(client, "/training/checkpoints/import", files=files, data={"name": "Foreign"})["id"]
    if HAS_TIME:
        style = trained_style(client, dataset["id"])
    else:
        keep_a_rung(client, studio)
    post(client, f"/training/checkpoints/{style}/activate")
    ended(client, f"/generate/{song['id']}")


def trained_style(client: httpx.Client, dataset_id: str) -> str:
    settings = {"dataset_id": dataset_id, "epochs": 1, "max_steps": 3, "max_window_sec": 2}
    job = post(client, "/training/jobs", json=settings)
    return ended(client, f"/training/jobs/{job['id']}")["checkpoint_id"]


def keep_a_rung(client: httpx.Client, studio: Server) -> None:
    """Of a job as a run leaves it, with all its rungs."""
    job = make_ladder(Store(studio.data_dir, 10**9, 100))
    post(client, f"/training/jobs/{job.id}/rungs/4/keep", json={"name": "Arcade"})


def post(client: httpx.Client, path: str, **content) -> dict:
    return client.post(path, **content).raise_for_status().json()


def ended(client: httpx.Client, path: str) -> dict:
    wait_until(lambda: client.get(path).json()["status"] not in ("queued", "running"))
    return client.get(path).json()


@pytest.mark.long
def test_every_tab_while_it_is_empty(page: Page):
    for tab in TABS:
        show(page, tab)
        see_no_barrier(page, tab)


def test_every_tab(page: Page, filled):
    for tab in TABS:
        show(page, tab, is_filled=True)
        see_no_barrier(page, tab)
        if main_action := MAIN_ACTIONS.get(tab):
            expect(page.locator("button.primary").locator("visible=true")).to_have_text([main_action])
        assert all("upload-container" in dashed for dashed in page.evaluate(DASHED)), tab
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            drawn(page)
            see_all_in_place(page, f"{tab} at {width}")
            if (tab, width) == ("Create", WIDTHS[0]):  # the longest
                see_no_edge(page)
        page.set_viewport_size({"width": 1280, "height": 900})


def see_no_barrier(page: Page, tab: str) -> None:
    for theme in THEMES:
        page.evaluate("isDark => document.body.classList.toggle('dark', isDark)", theme == "dark")
        keep_picture(page, f"{tab.lower()}-{theme}")
        assert violations(page) == [], f"{tab}, {theme}"
    page.evaluate("document.body.classList.remove('dark')")


def see_all_in_place(page: Page, where: str) -> None:
    keep_picture(page, where.lower().replace(" ", "-"))
    assert not scrolls_sideways(page), where
    assert broken_words(page) == [], where
    assert misplaced_texts(page) == [], where
    assert stray_scrollbars(page) == [], where


def see_no_edge(page: Page) -> None:
    """Of a picture of all the page, look at what lies beside its panels."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"), dtype=int)
    assert len(picture) > 2 * page.viewport_size["height"]
    assert np.abs(np.diff(picture[:, 1], axis=0)).max() <= MAX_STEP


def show(page: Page, tab: str, is_filled: bool = False) -> None:
    if tab == "Create":
        page.get_by_role("tab", name=tab).click()
    else:
        go_to(page, tab)
    if tab == "Dataset" and is_filled:
        page.get_by_role("button", name="Open", exact=True).first.click()
        expect(page.locator(".song-row:visible")).to_have_count(NUM_SONGS)
        page.get_by_role("button", name="More of").first.click()
    if is_filled or tab != "Training":  # which says nothing without a dataset but that there is none
        see_filled(page, tab)


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)
