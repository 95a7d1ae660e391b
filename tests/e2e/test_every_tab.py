"""Every tab, dark and light, at three widths: no barriers that axe knows, nothing wider than the window, no
button that breaks a word.

HEARTMULA_SCREENSHOTS=FOLDER keeps a picture of each.
"""

import os
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acting import go_to, see_filled
from tests.e2e.driving import broken_words, drawn, open_page, scrolls_sideways, serious_violations

TABS = ("Create", "Dataset", "Training", "Jobs", "Models")
NUM_SONGS = 6  # of the examples
WIDTHS = (390, 1024, 1920)
SCREENSHOTS = os.environ.get("HEARTMULA_SCREENSHOTS")


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
        for width in WIDTHS if theme == "light" or SCREENSHOTS else ():  # a theme changes colours alone
            page.set_viewport_size({"width": width, "height": 900})
            drawn(page)
            keep_picture(page, f"{tab.lower()}-{width}-{theme}")
            assert not scrolls_sideways(page), f"{tab} at {width}"
            assert broken_words(page) == [], f"{tab} at {width}"
        page.set_viewport_size({"width": 1280, "height": 900})


def show(page: Page, tab: str) -> None:
    if tab == "Create":
        page.get_by_role("tab", name=tab).click()
    else:
        go_to(page, tab)
    if tab == "Dataset":
        page.get_by_role("button", name="Open", exact=True).first.click()
        expect(page.locator(".song-row:visible")).to_have_count(NUM_SONGS)
    see_filled(page, tab)


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)
