"""What a program proposes for a track is ticked, taken back, rejected and brought back on the page."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.acting import create_dataset, drop_files
from tests.e2e.driving import open_page
from tests.recordings import CLIPS


@pytest.mark.long
def test_a_proposed_tag_counts_only_while_it_is_ticked(page, studio):
    open_page(page, studio)
    create_dataset(page, "Proposals", "techno")
    drop_files(page, CLIPS[:1])
    page.get_by_role("button", name="Find tempo and key").click()
    tick = page.get_by_role("checkbox", name=re.compile(r"\d bpm"))
    tags = page.locator(".song-row:visible").get_by_label("Tags", exact=True)
    expect(tick).to_be_visible()
    assert tags.input_value() == ""
    tick.check()
    expect(tags).to_have_value(re.compile(r"techno, \d+ bpm"))
    tick.uncheck()
    expect(tags).to_have_value("")
    page.get_by_role("button", name="Reject what is not ticked").click()
    expect(tick).to_be_hidden()
    page.get_by_role("button", name="Bring back what was rejected").click()
    expect(tick).to_be_visible()
    page.get_by_role("button", name="Accept all proposals").click()
    expect(tick).to_be_checked()
    page.get_by_role("button", name="Undo all decisions").click()
    expect(tick).not_to_be_checked()
    expect(tags).to_have_value("")


@pytest.mark.long
def test_what_a_check_finds_is_shown_with_its_dataset_alone(page, studio):
    open_page(page, studio)
    create_dataset(page, "Checked", "techno")
    drop_files(page, CLIPS[:1])
    page.get_by_role("button", name="Check the sound").click()
    report = page.get_by_role("heading", name="How the songs sound")
    expect(report).to_be_visible()
    expect(page.get_by_role("heading", name="How long the songs are")).to_be_visible()
    expect(page.get_by_role("button", name="Stop checking")).to_be_hidden()
    create_dataset(page, "Another", "techno")
    expect(report).to_be_hidden()
    drop_files(page, CLIPS[:1])
    page.get_by_role("button", name="Check the sound").click()
    expect(report).to_be_visible()
