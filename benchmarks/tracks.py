"""Measures the table of a dataset's tracks in a Chromium of its own: `python -m benchmarks.tracks`. Prints Markdown."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from benchmarks.filling import make_folders, song
from benchmarks.page import IS_USABLE, MAIN_BUTTON, chromium, closing_page
from benchmarks.report import load_average, machine, table
from benchmarks.studio_process import running_studio
from heartmula_studio.store import Store
from heartmula_studio.store.records import Dataset, utc_now

LINES = 40  # of lyrics of each track
NUM_EDITS = 30
PACE_SEC = 1.0
SETTLE_SEC = 15.0  # the server loads PyTorch soon after a page was opened
DATASET = "Many"
WAIT_MS = 120_000

# Every function resolves to milliseconds. A track is saved once REST has answered and its field says so.
EDIT = """async number => {
  const {row} = document.querySelectorAll(".song-row")[number], {node} = row.fields.tags;
  node.focus();
  node.value = `tag ${number}, live`;
  node.dispatchEvent(new Event("input", {bubbles: true}));
  const began = performance.now();
  node.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
  while (row.track.tags.length !== 2 || row.isTyped) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
DO = """async action => {
  const root = document.querySelector(".track-table"), find = label => root.querySelector(`[aria-label="${label}"]`);
  const began = performance.now();
  const set = (field, value, event) => (field.value = value, field.dispatchEvent(new Event(event, {bubbles: true})));
  if (action === "sort") root.querySelector("[data-order=name] button").click();
  if (action === "find") set(find("Find in tracks"), "track 12", "input");
  if (action === "find all") set(find("Find in tracks"), "", "input");
  if (action === "select all") find("Select all tracks shown").click();
  if (action === "scroll to the end") [...root.querySelectorAll(".song-row")].at(-1).scrollIntoView();
  await new Promise(requestAnimationFrame);
  await new Promise(done => setTimeout(done));
  return performance.now() - began;
}"""
BULK = """async () => {
  const root = document.querySelector(".track-table"), rows = [...root.querySelectorAll(".song-row")];
  root.querySelector("[aria-label='Tags for the selected tracks']").value = "bulk";
  const began = performance.now();
  [...root.querySelectorAll(".bulk button")].find(button => button.textContent === "Add tags").click();
  while (!rows.every(node => node.row.track.tags.includes("bulk"))) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
ACTIONS = ("scroll to the end", "sort", "find", "find all", "select all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=500, help="in the dataset (default: %(default)s)")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        fill(Path(folder) / "data", parsed.tracks)
        with running_studio(Path(folder) / "data") as studio, closing_page(browser) as page:
            print(f"{machine()} Chromium {browser.version}. Load average before: {load_average()}.\n")
            opened = row("open the dataset, until all rows are there", [open_dataset(page, studio.url, parsed.tracks)])
            print(table((f"{parsed.tracks} tracks", "p50 (ms)", "p95 (ms)"), [opened, *measured(page)]))
    print(f"\nLoad average after: {load_average()}.")


def fill(data_dir: Path, count: int) -> None:
    """Write a dataset of tracks with lyrics as long as usual. They are listed only, without their files."""
    store = Store(data_dir)
    tracks = [replace(song(f"track {number:03d}.wav"), caption=words(number)) for number in range(count)]
    record = Dataset(store.datasets.new_id(), DATASET, ("techno",), utc_now(), "ready", audio_files=tuple(tracks))
    store.datasets.create(record, make_folders)


def words(number: int) -> str:
    return "\n".join(["[verse]", *(f"line {line} of the words of track {number}" for line in range(LINES))])


def open_dataset(page: Page, url: str, count: int) -> float:
    page.set_default_timeout(WAIT_MS)
    page.goto(url, wait_until="commit")
    page.wait_for_function(IS_USABLE, arg=MAIN_BUTTON, polling="raf")
    page.get_by_role("tab", name="🎓 Training Studio").click()
    opener = page.locator(".card", has=page.get_by_role("heading", name=DATASET)).get_by_role("button", name="Open")
    opener.wait_for()
    page.evaluate("window.began = performance.now()")
    opener.click()
    elapsed = f"document.querySelectorAll('.song-row').length === {count} && performance.now() - window.began"
    return page.wait_for_function(elapsed, polling="raf").json_value()


def measured(page: Page) -> Iterator[tuple[str, str, str]]:
    time.sleep(SETTLE_SEC)
    for pace, wait_sec in (("one a second", PACE_SEC), ("one right after the other", 0.0)):
        yield row(f"edit a cell, {pace}, from Enter to saved", list(edits(page, int(wait_sec), wait_sec)))
    for action in ACTIONS:
        yield row(f"{action}, until drawn", [page.evaluate(DO, action)])
    yield row("add a tag to all, until saved", [page.evaluate(BULK)])


def edits(page: Page, first: int, wait_sec: float) -> Iterator[float]:
    for number in range(NUM_EDITS):
        yield page.evaluate(EDIT, first + 7 * number)
        time.sleep(wait_sec)


def row(what: str, times_ms: list[float]) -> tuple[str, str, str]:
    p50, p95 = np.percentile(times_ms, (50, 95))
    return what, f"{p50:.0f}", f"{p95:.0f}" if len(times_ms) > 1 else ""


if __name__ == "__main__":
    sys.exit(main())
