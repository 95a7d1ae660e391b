"""Everything can be reached, and used, without a mouse."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acting import go_to
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import open_page, violations

FOCUSED = "document.activeElement.innerText || document.activeElement.getAttribute('aria-label') || ''"
HAS_RING = """() => {
  const style = getComputedStyle(document.activeElement)
  return style.outlineStyle !== 'none' || style.boxShadow !== 'none'
}"""
MANY = 200
TOAST_MS = 10_000
KEEP_TOASTS = f"""(waits => window.setTimeout = (call, ms, ...rest) => ms === {TOAST_MS} || waits(call, ms, ...rest))
  (window.setTimeout)"""


@pytest.fixture(scope="module")
def page(browser, studio) -> Iterator[Page]:
    with lasting_page(browser) as page:
        page.add_init_script(KEEP_TOASTS)
        open_page(page, studio)
        yield page


def tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus says `text`."""
    for _ in range(MANY):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED).strip().startswith(text):
            return
    raise AssertionError(f"Tab does not reach {text!r}")


def type_into(page: Page, placeholder: str, text: str) -> None:
    field = page.get_by_placeholder(placeholder)
    for _ in range(MANY):
        if field.evaluate("field => field === document.activeElement"):
            page.keyboard.type(text)
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach the field {placeholder!r}")


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
    tab_to(page, "×")
    assert page.evaluate(HAS_RING)
    page.keyboard.press("Enter")
    expect(toast).to_have_count(0)
