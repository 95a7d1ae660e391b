"""Takes the README's pictures of the page anew, and its film: `python -m recipes.screenshots`.

In a studio of its own it goes the five steps in a Chromium as a new user would, and films them: it trains on the
example clips with the defaults, activates the style and makes a song. Then it shows each view. Takes as long as that
training, and three minutes.
"""

import argparse
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.page import FLAGS, MAIN_BUTTON
from benchmarks.studio_process import ROOT, running_studio
from recipes.film import Film

FOLDER = ROOT / "docs" / "screenshots"
VIEWS = (
    *(("Training", "dark"), ("Create", "dark"), ("Create", "light")),
    *(("Dataset", "light"), ("Jobs", "dark"), ("Models", "light")),
)
WINDOW, SHOWN, FILMED = {"width": 1280, "height": 900}, (960, 675), (800, 562)  # pixels: window, picture, film
FILM = "five-steps.webp"
GLANCE_MS, LOOK_MS, TRAINING_MS, SONG_MS = 500, 1500, 5000, 3000  # in the film
SONG_TAGS, SONG_SEC = ("electronic", "fast"), 20
SETTLE_SEC, POLL_SEC = 3.0, 2.0
PATIENCE_MS = 180_000
QUALITY = 82


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: %(default)s")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder, running_studio(Path(folder) / "data") as studio:
        client = httpx.Client(base_url=studio.url, timeout=300)
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            film_five_steps(browser, client, out / FILM)
            for view, theme in VIEWS:
                picture(browser, studio.url, view, theme, out)


def film_five_steps(browser: Browser, client: httpx.Client, path: Path) -> None:
    with opened(browser, str(client.base_url), "dark") as page:
        film = Film(page, FILMED)
        film.shoot(LOOK_MS)
        bring_songs(page, film)
        train(page, film, client)
        make_a_song(page, film, client)
        film.save(path)


def bring_songs(page: Page, film: Film) -> None:
    page.get_by_role("tab", name="Training Studio").click()
    page.get_by_role("button", name="Try it with six example clips").click()
    page.locator(".song-row:visible").first.wait_for()
    page.wait_for_timeout(1000 * SETTLE_SEC)
    film.shoot(LOOK_MS)
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(GLANCE_MS)
    film.shoot(LOOK_MS)


def train(page: Page, film: Film, client: httpx.Client) -> None:
    """Start it, watch the loss until it has ended, and activate the style."""
    show(page, "Training")
    film.shoot(LOOK_MS)
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("tab", name="Jobs", selected=True).wait_for()
    page.locator(".figures:visible").first.wait_for()
    begun = len(film.pictures)
    film_until_ended(page, film, lambda: client.get("/training/jobs").json()[-1])
    film.fit(begun, TRAINING_MS)
    activate = page.get_by_role("button", name="Activate", exact=True).locator("visible=true").first
    activate.wait_for()
    activate.scroll_into_view_if_needed()
    film.shoot(LOOK_MS)
    activate.click()
    page.locator(".active-style", has_text="Active").wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    film.shoot(LOOK_MS)


def make_a_song(page: Page, film: Film, client: httpx.Client) -> None:
    page.get_by_role("tab", name="Create").click()
    for tag in SONG_TAGS:
        page.get_by_role("checkbox", name=tag, exact=True).check()
    length = page.get_by_role("spinbutton", name="Length in seconds")
    length.fill(str(SONG_SEC))
    length.press("Tab")
    film.shoot(LOOK_MS)
    generate = page.get_by_role("button", name=MAIN_BUTTON, exact=True)
    generate.click()
    begun = len(film.pictures)
    film_until_ended(page, film, lambda: (client.get("/generate").json() or [{"status": "queued"}])[0])
    film.fit(begun, SONG_MS)
    page.wait_for_timeout(1000 * SETTLE_SEC)
    film.shoot(2 * LOOK_MS)


def film_until_ended(page: Page, film: Film, read: Callable[[], dict]) -> None:
    """Film a job or song until it has ended well. Raises RuntimeError where it ends otherwise."""
    while (record := read())["status"] in ("queued", "running"):
        film.shoot(GLANCE_MS)
        page.wait_for_timeout(1000 * POLL_SEC)
    if record["status"] != "completed":
        raise RuntimeError(f"It is {record['status']}: {record['error']}")


def picture(browser: Browser, url: str, view: str, theme: str, out: Path) -> None:
    """Write one view as VIEW-THEME.webp."""
    with opened(browser, url, theme) as page:
        show(page, view)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1000 * SETTLE_SEC)
        shown = Image.open(io.BytesIO(page.screenshot()))
    smaller = shown.convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS)
    smaller.save(out / f"{view.lower()}-{theme}.webp", quality=QUALITY)


@contextmanager
def opened(browser: Browser, url: str, theme: str) -> Iterator[Page]:
    """A page in a theme ("light" or "dark") that can be used."""
    with browser.new_context(viewport=WINDOW, color_scheme=theme, reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{url}/?__theme={theme}", wait_until="commit")
        page.get_by_role("button", name=MAIN_BUTTON, exact=True).wait_for()
        page.locator(".active-style", has_text=re.compile("none|Active")).wait_for()
        yield page


def show(page: Page, view: str) -> None:
    if view == "Create":
        page.get_by_role("button", name="▶ Listen").first.click()
        page.get_by_role("button", name="Use its settings and seed").click()
        page.locator(".token").first.wait_for()
        return
    page.get_by_role("tab", name="Training Studio").click()
    page.get_by_role("tab", name=view).last.click()
    if view == "Dataset":
        page.get_by_role("button", name="Open", exact=True).first.click()
        page.locator(".song-row:visible").first.wait_for()
    if view == "Training":
        page.get_by_text("Fits on this machine").wait_for()


if __name__ == "__main__":
    main()
