"""Names and lyrics that are code, too long, or written the other way round: shown as text, everywhere."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acting import go_to, see_filled
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import open_page, scrolls_sideways
from tests.recordings import SONGS

IMAGE = "<img src=x onerror=\"document.title='broken in'\">"
SCRIPT = "</script><script>document.title='broken in'</script>"
RIGHT_TO_LEFT = "\u202eشهرزاد‎ קצב"
LONG = "la " * 3333
EMOJI = "🎷🥁👩‍🎤" * 20
TITLE = "HeartMuLa Training Studio"


@pytest.fixture(scope="module")
def hostile(studio):
    """A dataset and a song of the worst texts, on the server."""
    with httpx.Client(base_url=studio.url, timeout=60) as client:
        body = {"name": IMAGE + RIGHT_TO_LEFT + EMOJI, "styles": [SCRIPT[:90], "<b>bold</b>"]}
        dataset = client.post("/training/datasets", json=body).raise_for_status().json()
        for path, name in zip(SONGS, [f"{IMAGE}.ogg", f"{SCRIPT}.ogg", f"{RIGHT_TO_LEFT}.ogg"], strict=False):
            files, data = {"file": (name, path.read_bytes())}, {"caption": f"{IMAGE}\n{SCRIPT}\n{LONG}"}
            client.post(f"/training/datasets/{dataset['id']}/audio", files=files, data=data).raise_for_status()
        client.post("/styles/custom", json={"name": IMAGE[:90]}).raise_for_status()
        song = {"tags": IMAGE, "lyrics": SCRIPT, "duration_sec": 1, "seed": 1}
        client.post("/generate/music", json=song).raise_for_status()
    return dataset


@pytest.fixture(scope="module")
def page(browser, studio, hostile) -> Iterator[Page]:
    with lasting_page(browser) as page:
        open_page(page, studio)
        yield page


def test_hostile_text_stays_text(page: Page):
    expect(page.get_by_text("<img src=x").first).to_be_visible()
    for tab in ("Dataset", "Training", "Jobs", "Models"):
        go_to(page, tab)
        see_filled(page, tab)
        assert page.title() == TITLE
        assert not scrolls_sideways(page)
    go_to(page, "Dataset")
    page.get_by_role("button", name="Open").first.click()
    row = page.locator(".song-row").first
    row.get_by_role("button", name="More of").click()
    lyrics = row.locator("textarea")
    expect(lyrics).to_be_visible()
    assert lyrics.input_value().startswith(f"{IMAGE}\n{SCRIPT}\nla la")
    page.get_by_role("button", name="Delete").first.click()
    expect(page.get_by_text("Delete “<img").first).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    assert page.title() == TITLE
    assert page.locator("img[src=x]").count() == 0


def test_an_error_that_quotes_hostile_text_stays_text(page: Page):
    page.get_by_role("tab", name="Create").click()
    page.get_by_role("textbox", name="Seed").fill(IMAGE)
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text("Enter a whole number").first).to_be_visible()
    assert page.title() == TITLE
    assert page.locator("img[src=x]").count() == 0
