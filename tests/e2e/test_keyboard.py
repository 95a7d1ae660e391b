"""Everything can be reached, and used, without a mouse."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acting import go_to
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import open_page, violations
from tests.e2e.keys import HAS_RING, hear, tab_to, type_into

TOAST_MS = 10_000
KEEP_TOASTS = f"""(waits => window.setTimeout = (call, ms, ...rest) => ms === {TOAST_MS} || waits(call, ms, ...rest))
  (window.setTimeout)"""


@pytest.fixture(scope="module")
def page(browser, studio) -> Iterator[Page]:
    with lasting_page(browser) as page:
        page.add_init_script(KEEP_TOASTS)
        open_page(page, studio)
        yield page


def test_what_has_changed_is_told_once(page: Page):
    hear(page, "Style")
    told = page.locator(".sr-only[role=log] p").all_inner_texts()
    assert len(told) == len(set(told))


def test_a_dataset_by_keyboard_alone(page: Page):
    tab_to(page, "🎓 Training Studio")
    assert page.evaluate(HAS_RING)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Create dataset")).to_be_visible()
    type_into(page, "Lagos nights", "By hand")
    type_into(page, "Afrobeat, Highlife", "Folk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By hand").first).to_be_visible()
    tab_to(page, "🗑️ Delete")
    expect(page.get_by_role("button", name="Delete").first).to_be_visible()
    expect(page.locator(".card-actions:focus-within")).to_have_css("opacity", "1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Delete “By hand”?")).to_be_visible()
    page.get_by_role("button", name="Delete it").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By hand")).to_have_count(0)


def test_a_toast_by_keyboard_alone(page: Page):
    """Its messages fold away and come back, and it closes."""
    go_to(page, "Dataset")
    page.get_by_role("button", name="Create dataset").press("Enter")
    toast = page.get_by_test_id("toast-body")
    message = toast.get_by_test_id("toast-text")
    expect(message).to_be_visible()
    assert violations(page) == []
    tab_to(page, "Error")
    page.keyboard.press("Enter")
    expect(message).to_be_hidden()
    page.keyboard.press("Enter")
    expect(message).to_be_visible()
    tab_to(page, "Close")
    assert page.evaluate(HAS_RING)
    page.keyboard.press("Enter")
    expect(toast).to_have_count(0)
