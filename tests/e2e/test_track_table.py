"""The tracks of a dataset as a table: edited in place, sorted, filtered, changed many at once, undone, by keyboard."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.e2e.acting import go_to
from tests.e2e.conftest import lasting_page
from tests.e2e.driving import drawn, open_page, scrolls_sideways
from tests.recordings import SONGS
from tests.still_studio import wait_until
from tests.studio_server import Server

NAMES = ("b.ogg", "d.ogg", "a.ogg", "c.ogg")


@dataclass
class Tracks:
    """A dataset of four tracks on the server, and the table of it."""

    client: httpx.Client
    id: str
    page: Page

    def stored(self, name: str) -> list[object]:
        """A field of all tracks, in the order of their names."""
        tracks = self.client.get(f"/training/datasets/{self.id}").raise_for_status().json()["audio_files"]
        return [track[name] for track in sorted(tracks, key=lambda track: track["filename"])]

    def wait_for(self, name: str, values: list) -> None:
        wait_until(lambda: self.stored(name) == values)

    def row(self, filename: str) -> Locator:
        return self.page.locator(".song-row", has=self.page.get_by_role("rowheader", name=filename))

    def tags(self, filename: str) -> Locator:
        return self.row(filename).get_by_label("Tags", exact=True)

    def see_order(self, letters: str) -> None:
        names = self.page.locator(".song-row:visible .track-name")
        expect(names).to_have_text([f"{letter}.ogg" for letter in letters])


@pytest.fixture(scope="module")
def tracks(browser, studio: Server) -> Iterator[Tracks]:
    with httpx.Client(base_url=studio.url, timeout=180) as client, lasting_page(browser) as page:
        body = {"name": "A table", "styles": ["techno"]}
        dataset = client.post("/training/datasets", json=body).raise_for_status().json()
        for name, path in zip(NAMES, SONGS, strict=False):
            upload, text = {"file": (name, path.read_bytes())}, {"caption": "[verse]\nla"}
            client.post(f"/training/datasets/{dataset['id']}/audio", files=upload, data=text).raise_for_status()
        open_page(page, studio)
        go_to(page, "Dataset")
        card = page.locator(".card", has=page.get_by_role("heading", name=body["name"]))
        card.get_by_role("button", name="Open").click()
        yield Tracks(client, dataset["id"], page)


def test_a_cell_is_edited_and_enter_goes_down(tracks):
    tracks.see_order("bdac")
    tracks.tags("b.ogg").click()
    tracks.page.keyboard.type("night, slow")
    tracks.page.keyboard.press("Enter")
    expect(tracks.tags("d.ogg")).to_be_focused()
    tracks.wait_for("tags", [[], ["night", "slow"], [], []])


def test_what_is_refused_stays_in_its_row_and_what_comes_meanwhile_disturbs_nothing(tracks):
    tags, too_long = tracks.tags("d.ogg"), "x" * 101
    tags.fill(too_long)
    expect(tracks.row("d.ogg").get_by_role("alert")).to_contain_text("has 101 characters")
    other = {"caption": "from elsewhere", "tags": ["theirs"]}
    tracks.client.put(f"/training/datasets/{tracks.id}/audio/d.ogg", json=other).raise_for_status()
    expect(tracks.row("d.ogg").locator(".lyrics-cell")).to_have_text("from elsewhere")
    expect(tags).to_have_value(too_long)
    expect(tags).to_be_focused()
    tags.press("Escape")
    expect(tags).to_have_value("theirs")
    expect(tracks.row("d.ogg").get_by_role("alert")).to_be_hidden()


def test_sorting_and_finding(tracks):
    page = tracks.page
    header = page.get_by_role("columnheader", name="Track", exact=True)
    header.get_by_role("button").click()
    tracks.see_order("abcd")
    expect(header).to_have_attribute("aria-sort", "ascending")
    header.get_by_role("button").click()
    tracks.see_order("dcba")
    page.get_by_label("Find in tracks").fill("NIGHT slow")
    tracks.see_order("b")
    page.get_by_label("Find in tracks").fill("")
    page.get_by_label("Show which tracks").select_option("Without tags of their own")
    tracks.see_order("ca")
    page.get_by_label("Show which tracks").select_option("All tracks")
    page.get_by_label("Sort by").select_option("As added")
    tracks.see_order("bdac")


def test_many_at_once_and_undo(tracks):
    page = tracks.page
    tracks.row("b.ogg").get_by_role("checkbox").check()
    tracks.row("a.ogg").get_by_role("checkbox").click(modifiers=["Shift"])
    expect(page.get_by_text("3 tracks selected")).to_be_visible()
    words = page.get_by_label("Tags for the selected tracks")
    words.fill("live, night")
    page.get_by_role("button", name="Add tags").click()
    tagged = [["techno", "live", "night"], ["night", "slow", "live"], [], ["theirs", "live", "night"]]
    tracks.wait_for("tags", tagged)
    words.fill("zyx")
    page.get_by_role("button", name="Put first").click()
    tracks.wait_for("tags", [["zyx", *tags] if tags else [] for tags in tagged])
    page.get_by_label("Rights of the selected tracks").select_option("My own")
    tracks.wait_for("rights", ["own", "own", "unknown", "own"])
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("Undone: 3 tracks.")).to_be_visible()
    tracks.wait_for("rights", ["unknown"] * 4)
    tracks.wait_for("tags", tagged)
    page.get_by_role("button", name="Redo").click()
    tracks.wait_for("tags", [["zyx", *tags] if tags else [] for tags in tagged])
    page.get_by_role("button", name="Select none").click()


def test_by_keyboard_alone(tracks):
    page = tracks.page
    tracks.row("b.ogg").get_by_role("checkbox").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    expect(tracks.row("a.ogg").get_by_role("checkbox")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    rights = tracks.row("a.ogg").get_by_label("Rights", exact=True)
    expect(rights).to_be_focused()
    page.keyboard.press("p")
    tracks.wait_for("rights", ["public_domain", "unknown", "unknown", "unknown"])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    lyrics = tracks.row("a.ogg").get_by_label("Lyrics")
    expect(lyrics).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type("\n[chorus]\nlo")
    tracks.wait_for("caption", ["[verse]\nla\n[chorus]\nlo", "[verse]\nla", "[verse]\nla", "from elsewhere"])
    expect(tracks.row("a.ogg").locator(".learnt")).to_contain_text("[chorus]")
    page.keyboard.press("Escape")
    expect(lyrics).to_be_hidden()
    page.keyboard.press("Control+z")
    tracks.wait_for("caption", ["[verse]\nla", "[verse]\nla", "[verse]\nla", "from elsewhere"])


def test_a_track_is_played(tracks):
    tracks.row("c.ogg").get_by_role("button", name="Play").click()
    tracks.page.wait_for_function("document.querySelector('.track-table audio').currentTime > 0")
    tracks.row("c.ogg").get_by_role("button", name="Pause").click()
    expect(tracks.row("c.ogg").get_by_role("button", name="Play")).to_be_visible()


def test_recordings_are_cleaned_and_given_back(tracks):
    page, facts = tracks.page, tracks.row("c.ogg").get_by_role("rowheader")
    tracks.row("c.ogg").get_by_role("checkbox").check()
    page.get_by_role("button", name="Clean…").click()
    page.get_by_label("Loudness in LUFS").fill("-30")
    page.get_by_role("button", name="Clean", exact=True).click()
    expect(facts).to_contain_text(" dB")
    assert [track is not None for track in tracks.stored("cleaned")] == [False, False, True, False]
    page.get_by_role("button", name="Undo cleaning").click()
    tracks.wait_for("cleaned", [None] * 4)
    expect(facts).not_to_contain_text(" dB")
    page.get_by_role("button", name="Clean…").click()
    page.get_by_role("button", name="Select none").click()


def test_no_barriers_and_cards_on_a_telephone(tracks):
    page = tracks.page
    tracks.row("b.ogg").get_by_role("checkbox").check()
    tracks.row("b.ogg").get_by_role("button", name="More").click()
    for size in ({"width": 1280, "height": 800}, {"width": 390, "height": 844}):
        page.set_viewport_size(size)
        drawn(page)
        assert not scrolls_sideways(page)
        found = Axe().run(page, context=".track-table", options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()


def test_a_track_goes_only_when_that_is_confirmed(tracks):
    page = tracks.page
    tracks.row("b.ogg").get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Keep", exact=True).click()
    tracks.see_order("bdac")
    tracks.row("b.ogg").get_by_role("button", name="Remove").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Remove", exact=True).click()
    tracks.see_order("dac")
    tracks.wait_for("filename", ["a.ogg", "c.ogg", "d.ogg"])
