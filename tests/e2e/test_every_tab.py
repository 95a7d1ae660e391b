"""Every tab, dark and light, at three widths: no barriers that axe knows, nothing wider than the window, no
button that breaks a word, no dashed line where nothing can be dropped, no edge in the background.

HEARTMULA_SCREENSHOTS=FOLDER keeps a picture of each.
"""

import io
import os
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.acting import go_to, see_filled
from tests.e2e.driving import broken_words, drawn, open_page, scrolls_sideways, serious_violations

TABS = ("Create", "Dataset", "Training", "Jobs", "Models")
NUM_SONGS = 6  # of the examples
WIDTHS = (390, 1024, 1920)
SCREENSHOTS = os.environ.get("HEARTMULA_SCREENSHOTS")
MAX_STEP = 3  # of 255, from a row of the background to the next
DASHED = """() => [...document.querySelectorAll("*")].filter(element => element.checkVisibility())
  .filter(element => (style => style.borderTopStyle === "dashed" && style.borderTopWidth !== "0px")
    (getComputedStyle(element))).map(element => element.className)"""


@pytest.fixture(scope="module")
def example_dataset(studio):
    return httpx.post(f"{studio.url}/training/datasets/examples", timeout=120).raise_for_status().json()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab(new_page, studio, example_dataset, theme):
    page = new_page(viewport={"width": 1280, "height": 900})
    open_page(page, studio, theme)
    for tab in TABS:
        show(page, tab)
        assert serious_violations(page) == [], tab
        assert all("upload-container" in dashed for dashed in page.evaluate(DASHED)), tab
        for width in WIDTHS if theme == "light" or SCREENSHOTS else ():  # a theme changes colours alone
            page.set_viewport_size({"width": width, "height": 900})
            drawn(page)
            keep_picture(page, f"{tab.lower()}-{width}-{theme}")
            assert not scrolls_sideways(page), f"{tab} at {width}"
            assert broken_words(page) == [], f"{tab} at {width}"
            if (tab, width) == ("Create", WIDTHS[0]):  # the longest
                see_no_edge(page)
        page.set_viewport_size({"width": 1280, "height": 900})


def see_no_edge(page: Page) -> None:
    """Of a picture of all the page, look at what lies beside its panels."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"), dtype=int)
    assert len(picture) > 2 * page.viewport_size["height"]
    assert np.abs(np.diff(picture[:, 1], axis=0)).max() <= MAX_STEP


def show(page: Page, tab: str) -> None:
    if tab == "Create":
        page.get_by_role("tab", name=tab).click()
    else:
        go_to(page, tab)
    if tab == "Dataset":
        page.get_by_role("button", name="Open", exact=True).first.click()
        expect(page.locator(".song-row:visible")).to_have_count(NUM_SONGS)
        page.get_by_role("button", name="More of").first.click()
    see_filled(page, tab)


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)
