"""What a person does on the page without a mouse."""

import re

from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

MANY = 250
NAMED_MS = 10_000
NAME = """() => {
  const node = document.activeElement;
  if (node === document.body) return null;
  const by = (node.getAttribute("aria-labelledby") ?? "").split(" ");
  const labels = [...(node.labels ?? []), ...by.map(id => document.getElementById(id)).filter(Boolean)];
  const texts = [node.getAttribute("aria-label"), ...labels.map(label => label.innerText), node.innerText, node.title];
  return texts.find(text => text?.trim())?.trim() ?? "";
}"""
NAMED = f"() => {{ const name = ({NAME})(); return name !== '' && {{ name }} }}"
IS_NOWHERE = "document.activeElement === document.body"
HAS_RING = """() => {
  const style = getComputedStyle(document.activeElement)
  return style.outlineStyle !== 'none' || style.boxShadow !== 'none'
}"""


def tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus says `text`; all that is passed has a name."""
    for _ in range(MANY):
        page.keyboard.press("Tab")
        name = focused_name(page)
        if name is not None and name.startswith(text):
            return
    raise AssertionError(f"Tab does not reach {text!r}")


def focused_name(page: Page) -> str | None:
    """The name of the control that has the focus, None between the last and the first; one drawn anew gets its soon."""
    try:
        named: dict[str, str | None] = page.wait_for_function(NAMED, timeout=NAMED_MS).json_value()
    except PlaywrightTimeoutError:
        raise AssertionError(f"has no name: {page.evaluate('document.activeElement.outerHTML')}") from None
    return named["name"]


def press(page: Page, button: str) -> None:
    """Go to a button that can be used, where the focus is seen, and press it."""
    usable = page.get_by_role("button", name=re.compile(re.escape(button))).locator("visible=true").first
    expect(usable).to_be_enabled()
    tab_to(page, button)
    assert page.evaluate(HAS_RING)
    page.keyboard.press("Enter")


def type_into(page: Page, placeholder: str, text: str) -> None:
    """Go to a field, and type."""
    field = page.get_by_placeholder(placeholder)
    for _ in range(MANY):
        if field.evaluate("field => field === document.activeElement"):
            page.keyboard.type(text)
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach the field {placeholder!r}")


def see_focus(page: Page) -> None:
    """Check that what was drawn anew has not taken the focus away."""
    page.wait_for_function(f"!({IS_NOWHERE}) && document.activeElement.checkVisibility()")
    focused_name(page)


def hear(page: Page, text: str) -> None:
    """Wait until it is told to who does not see the page."""
    expect(page.locator(".sr-only[role=log]")).to_contain_text(text)
