"""A page that nobody touches is quiet."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, Request, expect

from tests.e2e.acting import go_to
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import open_page

WATCHED_SEC = 6
KEPT = "localStorage.getItem('heartmula-dataset')"
LOOKS = 20  # two cores may be busy with other tests


@pytest.fixture(scope="module")
def page(browser, studio) -> Iterator[Page]:
    with lasting_page(browser) as page:
        open_page(page, studio)
        yield page


def press_in_turn(page: Page, names: list[str], times: int) -> None:
    """Open one dataset after the other, faster than the server answers."""
    page.evaluate(
        """async ([names, times]) => {
          for (let turn = 0; turn < times; turn++) for (const name of names) {
            const card = [...document.querySelectorAll('.card')].find(card => card.textContent.includes(name))
            card.querySelector('button').click()
            await new Promise(resolve => setTimeout(resolve, 100))
          }
        }""",
        [names, times],
    )


def comes_to_rest(page: Page) -> bool:
    """Whether it asks for nothing any more, not even whether something has changed."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/queue/join" in request.url else None)
    for _ in range(LOOKS):
        asked.clear()
        page.wait_for_timeout(1000 * WATCHED_SEC)
        if not asked:
            return True
    return False


@pytest.mark.long
def test_choosing_faster_than_the_server_answers_comes_to_rest(page, studio):
    names = ["First of two", "Second of two"]
    for name in names:
        httpx.post(f"{studio.url}/training/datasets", json={"name": name}).raise_for_status()
    go_to(page, "Dataset")
    expect(page.get_by_role("heading", name=names[1])).to_be_visible()
    press_in_turn(page, names, times=5)
    assert comes_to_rest(page)


@pytest.mark.long
def test_the_choice_outlives_a_reload(page, studio):
    for name in ("Chosen before", "Not chosen"):
        httpx.post(f"{studio.url}/training/datasets", json={"name": name}).raise_for_status()
    go_to(page, "Dataset")
    expect(page.get_by_role("heading", name="Not chosen").first).to_be_visible()
    before = page.evaluate(KEPT)
    press_in_turn(page, ["Chosen before"], times=1)
    chosen = page.locator(".card.selected:visible")
    expect(chosen).to_contain_text("Chosen before")
    page.wait_for_function(f"before => {KEPT} !== before", arg=before)  # it is kept apart from being shown
    page.reload()
    go_to(page, "Dataset")
    expect(chosen).to_contain_text("Chosen before")
