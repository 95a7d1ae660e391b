"""Takes the README's pictures of the page anew: `python -m recipes.screenshots`.

In a studio of its own it trains on the example clips with the defaults, activates the style and makes a song, and
shows each view in a Chromium; Training before anything was trained. Takes as long as that training, and two minutes.
"""

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.page import FLAGS, MAIN_BUTTON
from benchmarks.studio_process import ROOT, running_studio

FOLDER = ROOT / "docs" / "screenshots"
BEFORE = (("Training", "dark"),)
AFTER = (("Create", "dark"), ("Create", "light"), ("Dataset", "light"), ("Jobs", "dark"), ("Models", "light"))
WINDOW, SHOWN = {"width": 1280, "height": 900}, (960, 675)  # pixels, of the window and of a picture
SETTLE_SEC, POLL_SEC = 3.0, 2.0
QUALITY = 82


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: %(default)s")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder, running_studio(Path(folder) / "data") as studio:
        client = httpx.Client(base_url=studio.url, timeout=300)
        dataset = posted(client, "/training/datasets/examples")
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            take(browser, studio.url, BEFORE, out)
            train(client, dataset)
            take(browser, studio.url, AFTER, out)


def take(browser: Browser, url: str, views: Sequence[tuple[str, str]], out: Path) -> None:
    for view, theme in views:
        picture(browser, url, view, theme, out)


def train(client: httpx.Client, dataset: dict) -> None:
    """Train as a new user would, and make a song in the style."""
    job = posted(client, "/training/jobs", {"dataset_id": dataset["id"]})
    job = ended(lambda: client.get(f"/training/jobs/{job['id']}").raise_for_status().json())
    posted(client, f"/training/checkpoints/{job['checkpoint_id']}/activate")
    song = posted(client, "/generate/music", {"tags": "electronic, arcade, fast", "duration_sec": 20, "seed": 7})
    ended(lambda: client.get(f"/generate/{song['id']}").raise_for_status().json())


def posted(client: httpx.Client, path: str, body: dict | None = None) -> dict:
    answer: dict = client.post(path, json=body).raise_for_status().json()
    return answer


def ended(read: Callable[[], dict]) -> dict:
    """Return the record of a job or song once it has ended well. Raises RuntimeError where it ended otherwise."""
    while (record := read())["status"] in ("queued", "running"):
        time.sleep(POLL_SEC)
    if record["status"] != "completed":
        raise RuntimeError(f"It is {record['status']}: {record['error']}")
    return record


def picture(browser: Browser, url: str, view: str, theme: str, out: Path) -> None:
    """Write one view as VIEW-THEME.webp."""
    context = browser.new_context(viewport=WINDOW, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(180_000)
    page.goto(f"{url}/?__theme={theme}", wait_until="commit")
    page.get_by_role("button", name=MAIN_BUTTON, exact=True).wait_for()
    page.locator(".active-style", has_text=re.compile("none|Active")).wait_for()
    show(page, view)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(1000 * SETTLE_SEC)
    path = out / f"{view.lower()}-{theme}.png"
    page.screenshot(path=path)
    with Image.open(path) as shown:
        shown.convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS).save(path.with_suffix(".webp"), quality=QUALITY)
    path.unlink()
    context.close()


def show(page: Page, view: str) -> None:
    if view == "Create":
        page.get_by_role("button", name="▶ Listen").first.click()
        page.get_by_role("button", name="Continue with the same seed").click()
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
