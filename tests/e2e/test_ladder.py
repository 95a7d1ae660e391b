"""The ladder of a job in a real browser: switching between songs, blind tests, and what can be done with a rung."""

import dataclasses
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import soundfile
import torch
from playwright.sync_api import Locator, Page, expect

from heartmula_studio.finetune.previews import preview_file
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.store.store import Store
from tests.e2e.acting import go_to
from tests.e2e.conftest import USUAL, lasting_page
from tests.e2e.driving import broken_words, open_page, scrolls_sideways, violations
from tests.ladders import COPIED, RUNGS, make_ladder
from tests.still_studio import wait_until
from tests.studio_server import Server, running_server

SONG_SEC, RATE_HZ = 20, 16_000
HOSTILE = "<img src=x onerror=\"document.title='broken in'\">"
# Each start and stop of a sound, by the clock of the sounds.
LISTEN = """() => {
  window.starts = [];
  window.stops = [];
  for (const [name, calls] of [["start", window.starts], ["stop", window.stops]]) {
    const native = AudioScheduledSourceNode.prototype[name];
    const own = name === "start" ? AudioBufferSourceNode.prototype : AudioScheduledSourceNode.prototype;
    const inner = own[name] ?? native;
    own[name] = function (...given) {
      calls.push({ when: given[0], offset: given[1], now: this.context.currentTime });
      return inner.apply(this, given);
    };
  }
}"""


@pytest.fixture(scope="module")
def job_id(tmp_path_factory) -> str:
    """A trained job in a data folder of its own, with songs that are long enough to switch between."""
    store = Store(data_dir(tmp_path_factory), 10**9, 100)
    job = make_ladder(store, RUNGS | {6: dataclasses.replace(COPIED, copied_track=HOSTILE)})
    folder = JobFolder(store.jobs.folder(job.id))
    for step in (0, *RUNGS):
        for number in range(2):
            wave = torch.sin(torch.arange(SONG_SEC * RATE_HZ) * (2 * math.pi * (220 + 40 * step + number) / RATE_HZ))
            soundfile.write(preview_file(folder.preview(step), number), 0.2 * wave.numpy(), RATE_HZ)
    verdict = {"is_audible": True, "recommended_step": 4, "message": "Your style is ready: it can be heard."}
    store.jobs.update(job.id, lambda job: dataclasses.replace(job, **verdict))
    return job.id


def data_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.getbasetemp() / "ladder" / "data"


@pytest.fixture(scope="module")
def server(job_id, tmp_path_factory) -> Iterator[Server]:
    with running_server(data_dir(tmp_path_factory)) as server:
        yield server


@pytest.fixture(scope="module")
def page(browser, server) -> Iterator[Page]:
    with lasting_page(browser) as page:
        open_jobs(page, server)
        page.evaluate(LISTEN)
        yield page


def open_jobs(page: Page, server: Server) -> None:
    open_page(page, server)
    go_to(page, "Jobs")
    expect(page.locator(".rung")).to_have_count(1 + len(RUNGS))


def song(page: Page, rung: str, number: int, verb: str = "Play") -> Locator:
    return page.get_by_role("button", name=f"{verb} song {number} of {rung}", exact=True)


def test_rungs_say_what_they_are(page: Page):
    expect(page.locator(".notice", has_text="Your style is ready: it can be heard.")).to_be_visible()
    expect(page.locator(".rung.recommended")).to_contain_text("Step 4")
    expect(page.locator(".rung").nth(1)).to_contain_text("Not audible yet")
    expect(page.locator(".rung").nth(3)).to_contain_text(f"Near-copy of {HOSTILE}")
    assert page.locator("img[src=x]").count() == 0
    assert violations(page) == []


def test_another_rung_goes_on_where_the_last_one_was(page: Page):
    song(page, "Base", 1).click()
    expect(song(page, "Base", 1, "Pause")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^[1-9]\.\d / 20\.0 s$"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(song(page, "Step 4", 1, "Pause")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(song(page, "Step 4", 2, "Pause")).to_be_visible()
    starts, stops = page.evaluate("[window.starts, window.stops]")
    assert len(starts) > 2
    positions = [start["now"] - (start["when"] - start["offset"]) for start in starts]
    assert positions == sorted(positions)
    for before, after, stop in zip(starts, starts[1:], stops, strict=False):
        goes_on = after["offset"] - (before["offset"] + after["when"] - before["when"])
        assert abs(goes_on) < 0.05
        assert after["when"] <= stop["when"], "the last song is to sound until the next one does"
    page.keyboard.press("Enter")
    expect(song(page, "Step 4", 2)).to_be_visible()


def test_a_job_without_rungs_shows_no_ladder(page: Page, server):
    """Nor does one that was deleted, whose place the other takes again."""
    store = Store(server.data_dir, 10**9, 100)
    other = make_ladder(store, {})
    shutil.rmtree(JobFolder(store.jobs.folder(other.id)).preview(0))
    page.get_by_role("button", name="Show", exact=True).click(timeout=60_000)
    expect(page.locator(".ladder:not(.pair)")).to_be_hidden()
    httpx.delete(f"{server.url}/training/jobs/{other.id}").raise_for_status()
    expect(page.locator(".rung")).to_have_count(1 + len(RUNGS))


def test_it_fits_a_telephone(page: Page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_text("Blind test", exact=True).click()
    assert not scrolls_sideways(page)
    assert broken_words(page) == []
    page.get_by_text("Blind test", exact=True).click()
    page.set_viewport_size(USUAL["viewport"])


@pytest.mark.long
def test_what_can_be_done_with_a_rung(page: Page, server, job_id):
    httpx.post(f"{server.url}/training/datasets", json={"name": "More songs"}).raise_for_status()
    rung = page.locator(".rung").nth(2)
    rung.get_by_label("Star Step 4").click()
    expect(rung.get_by_label("Star Step 4")).to_have_attribute("aria-pressed", "true")
    rung.get_by_text("More").click()
    with page.expect_download() as download:
        rung.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "Arcade, step 4.zip"
    rung.get_by_role("button", name="Keep as a style").click()
    expect(rung).to_contain_text("In your styles")
    rung.get_by_role("button", name="Train further from here").click()
    expect(page.get_by_role("combobox", name="Start from")).to_have_value(re.compile("^Arcade, step 4"))
    go_to(page, "Jobs")
    starred = [rung["starred"] for rung in httpx.get(f"{server.url}/training/jobs/{job_id}/rungs").json()["rungs"]]
    assert starred == [False, False, True, False]


@pytest.mark.long
def test_a_blind_test_outlives_a_reload_and_a_killed_server(page: Page, server, job_id, tmp_path_factory):
    page.get_by_text("Blind test", exact=True).click()
    expect(page.get_by_label("Rung to test")).to_have_value("4")
    page.get_by_role("button", name="Start", exact=True).click()
    vote(page, 1)
    vote(page, 2)
    page.reload()
    open_jobs(page, server)
    vote(page, 3)  # a test that is not over is open
    server.process.kill()
    server.process.wait()
    with running_server(data_dir(tmp_path_factory)) as again:
        open_jobs(page, again)
        for number in range(4, 9):
            vote(page, number)
        expect(page.get_by_text(re.compile(r"You told it from the base in \d of 8"))).to_be_visible()
        (audition,) = httpx.get(f"{again.url}/training/jobs/{job_id}/auditions").json()
        assert [trial["choice"] for trial in audition["trials"]] == ["a"] * 8


def vote(page: Page, number: int) -> None:
    """Listen to one of the two songs of a round, whose addresses tell nothing, and say that it is the first."""
    expect(page.get_by_text(f"{number} of 8: ")).to_be_visible()
    with page.expect_response(re.compile("/players/blind/[0-9a-f]+$")):
        page.get_by_role("button", name="▶ First").click()
    page.get_by_role("button", name="It is the first").click()
    wait_until(lambda: not page.get_by_text(f"{number} of 8: ").is_visible())
