"""The guide's Quick Start by hand: five songs in, a tuned song out. Its five steps go without a mouse."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import soundfile
from playwright.sync_api import Page, Route, expect

from tests.e2e.acting import TRAINING_MS, drop_files, go_to
from tests.e2e.driving import open_page
from tests.e2e.keys import hear, press, see_focus, tab_to, type_into
from tests.recordings import SONGS
from tests.studio_server import Server, running_server

AUDIBLE = 1e-3  # root mean square


@pytest.fixture
def studio(tmp_path) -> Iterator[Server]:
    """One that nobody has used before."""
    with running_server(tmp_path / "data") as server:
        yield server


def test_quick_start(page, studio):
    open_page(page, studio)
    press(page, "🎓 Training Studio")
    create_by_keyboard(page, "Lagos nights", "Afrobeat, Highlife")
    add_by_keyboard(page, SONGS[:3])
    expect(page.get_by_text("3 of 5 files").last).to_be_visible()
    expect(page.get_by_role("button", name="Train on these songs")).to_be_disabled()
    drop_files(page, SONGS[3:5])
    expect(page.get_by_text("5 files", exact=True).last).to_be_visible()

    press(page, "Train on these songs")
    see_what_is_too_little(page)
    see_what_will_not_fit(page)
    stop_early(page)
    start_by_keyboard(page)
    expect(page.get_by_text(re.compile(r"Loss: \d\.\d{4}")).first).to_be_visible(timeout=TRAINING_MS)
    expect(page.locator("svg.chart, .chart svg").first).to_be_visible()
    expect(page.get_by_role("button", name="Activate", exact=True)).to_be_visible(timeout=TRAINING_MS)
    press(page, "Activate")
    expect(page.locator(".active-style")).to_contain_text("Lagos nights")
    hear(page, "Lagos nights")
    see_focus(page)

    generate_by_keyboard(page)
    expect(page.get_by_text("Song", exact=True).last).to_be_visible(timeout=TRAINING_MS)
    assert httpx.get(f"{studio.url}/health").json()["active_checkpoint"]
    assert loudness(*newest_songs(studio.url, 1)) > AUDIBLE
    find_wrong_lyrics(page)
    go_to(page, "Models")
    press_while_cards_change(page, studio.url)
    expect(page.locator(".active-style")).to_contain_text("none, the base model")
    compare_with_the_base(page, studio.url)


def create_by_keyboard(page: Page, name: str, styles: str) -> None:
    type_into(page, "Lagos nights", name)
    type_into(page, "Afrobeat, Highlife", styles)
    press(page, "Create dataset")
    expect(page.get_by_text("0 of 5 files").last).to_be_visible()
    see_focus(page)


def add_by_keyboard(page: Page, paths: Sequence[Path]) -> None:
    expect(page.locator(".card.selected:visible")).to_be_visible()
    tab_to(page, "Click to upload")
    with page.expect_file_chooser() as chooser:
        page.locator("button:focus").press("Enter")
    chooser.value.set_files(list(paths))
    added = f"{len(paths)} files added."
    expect(page.get_by_text(added).first).to_be_visible(timeout=TRAINING_MS)
    hear(page, added)
    see_focus(page)


def start_by_keyboard(page: Page) -> None:
    epochs = page.get_by_role("spinbutton", name="Epochs").locator("visible=true")
    epochs.fill("1")
    epochs.press("Tab")
    expect(page.get_by_text("Fits on this machine")).to_be_visible()
    press(page, "Start training")
    expect(page.get_by_role("tab", name="Jobs")).to_have_attribute("aria-selected", "true")
    see_focus(page)


def generate_by_keyboard(page: Page) -> None:
    tab_to(page, "🎵 Create")
    page.keyboard.press("Enter")
    length = page.get_by_role("spinbutton", name="Length in seconds")
    length.fill("5")
    length.press("Tab")
    press(page, "Generate")
    see_focus(page)


def see_what_will_not_fit(page: Page) -> None:
    """Ask for far more than any computer has, and take it back."""
    page.get_by_role("button", name="Advanced").last.click()
    batch_size = page.get_by_role("spinbutton", name="Batch size")
    batch_size.fill("4096")
    batch_size.press("Tab")
    expect(page.get_by_text("This will not fit: it needs")).to_be_visible()
    expect(page.get_by_text("a batch size of 1")).to_be_visible()
    batch_size.fill("1")
    batch_size.press("Tab")
    expect(page.get_by_text("Fits on this machine")).to_be_visible()


def stop_early(page: Page) -> None:
    """After ten steps, which is too little to be heard, but shows all that follows."""
    most = page.get_by_role("spinbutton", name=re.compile("max steps"))
    most.fill("10")
    most.press("Tab")


def see_what_is_too_little(page: Page) -> None:
    """So few epochs that nothing would be heard; the button beside the warning sets as many as are."""
    epochs = page.get_by_role("spinbutton", name="Epochs").locator("visible=true")
    epochs.fill("1")
    epochs.press("Tab")
    expect(page.get_by_text(re.compile(r"\d+ steps: too few to hear\."))).to_be_visible()
    for preset in ("Fast", "Thorough"):
        expect(page.get_by_role("button", name=re.compile(rf"{preset}: [\d,]+ steps, "))).to_be_visible()
    page.get_by_role("button", name="Set Balanced").click()
    expect(page.get_by_text("too few to hear")).to_be_hidden()
    assert int(epochs.input_value()) > 1


def find_wrong_lyrics(page: Page) -> None:
    """The base's loss on each track, the highest first; possible once the songs are tokenized."""
    go_to(page, "Dataset")
    page.get_by_role("button", name="Find wrong lyrics").click()
    expect(page.locator(".bar:visible")).to_have_count(5, timeout=TRAINING_MS)
    losses = [float(line.split()[-1]) for line in page.locator(".bar:visible").all_inner_texts()]
    assert losses == sorted(losses, reverse=True)


def press_while_cards_change(page: Page, url: str) -> None:
    """Press Compare on a card that is drawn anew before the server hears of it."""
    of_the_page = {listener["id"] for listener in httpx.get(f"{url}/config").json()["dependencies"]}
    held = []

    def hold(route: Route) -> None:
        is_of_a_card = route.request.post_data_json["fn_index"] not in of_the_page
        held.append(route) if is_of_a_card else route.continue_()

    page.route("**/queue/join*", hold)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator(".card.selected:visible")).to_have_count(0)
    (press,) = held
    press.continue_()
    page.unroute("**/queue/join*", hold)


def compare_with_the_base(page: Page, url: str) -> None:
    """Make a song of one seed without the style and with it; the sounds differ."""
    expect(page.get_by_role("heading", name=re.compile("^Lagos nights .* and the base$"))).to_be_visible()
    length = page.get_by_role("spinbutton", name="Length (seconds)")
    length.fill("5")
    length.press("Tab")
    page.get_by_role("button", name="Make both").click()
    expect(page.locator(".waveform-container:visible")).to_have_count(2, timeout=TRAINING_MS)
    base, styled = newest_songs(url, 2)
    assert base != styled
    assert min(loudness(base), loudness(styled)) > AUDIBLE


def newest_songs(url: str, count: int) -> list[bytes]:
    """The sounds of the songs that were asked for last, from the REST of the same server."""
    songs = httpx.get(f"{url}/generate", timeout=30).json()
    return [httpx.get(f"{url}/generate/{song['id']}/audio", timeout=30).content for song in songs[-count:]]


def loudness(sound: bytes) -> float:
    samples, _ = soundfile.read(io.BytesIO(sound))
    return float((samples**2).mean() ** 0.5)
