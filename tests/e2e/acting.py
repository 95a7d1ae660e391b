"""What a person does on the page, in the words of the page."""

import re
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, expect

TRAINING_MS = 600_000


def go_to(page: Page, tab: str) -> None:
    """Open a tab of the Training Studio: Dataset, Training, Jobs or Models."""
    page.get_by_role("tab", name="Training Studio").click()
    page.get_by_role("tab", name=re.compile(rf"{tab}$")).click()


def see_filled(page: Page, tab: str) -> None:
    """Wait until the open tab shows what the server knows. For Training, there must be a dataset."""
    if tab == "Create":
        expect(page.get_by_role("radio", name="None, the base model")).to_be_visible()
    else:
        content = ".notice" if tab == "Training" else ".card, .empty"
        expect(page.locator(content).locator("visible=true").first).to_be_visible()


def create_dataset(page: Page, name: str, styles: str = "") -> None:
    go_to(page, "Dataset")
    page.get_by_placeholder("Lagos nights").fill(name)
    page.get_by_placeholder("Afrobeat, Highlife").fill(styles)
    page.get_by_role("button", name="Create dataset").click()
    expect(page.get_by_role("heading", name=name, exact=True).last).to_be_visible()
    expect(page.get_by_text("0 of 5 files").last).to_be_visible()


def drop_files(page: Page, paths: Sequence[Path]) -> None:
    zone = page.get_by_text("Drop File Here").locator("visible=true").first
    expect(zone).to_be_visible()
    field = zone.locator("xpath=ancestor::*[.//input[@type='file']][1]").locator("input[type=file]")
    field.set_input_files([str(path) for path in paths])
    report = re.compile(r"files? (added|was refused|were refused)\.")
    expect(page.get_by_text(report).first).to_be_visible(timeout=TRAINING_MS)


def choose_option(page: Page, field: str, option: str) -> None:
    """Choose what begins with `option` in a list; its label is exactly `field`."""
    page.get_by_label(field, exact=True).locator("visible=true").click()
    page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).click()
