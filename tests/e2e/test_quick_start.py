"""The guide's Quick Start by hand: five songs in, a tuned song out."""

import io
import json
import re

import httpx
import soundfile
from playwright.sync_api import expect

from tests.e2e.acting import SLOW_MS, TRAINING_MS, create_dataset, drop_files, generate_song, start_quick_training
from tests.e2e.driving import open_page
from tests.studio_server import SONGS

AUDIBLE = 1e-3  # root mean square


def test_quick_start(page, studio):
    open_page(page, studio)
    page.get_by_role("button", name="🎓 Training Studio").click()
    create_dataset(page, "Lagos nights", "Afrobeat, Highlife")
    drop_files(page, SONGS[:3])
    expect(page.get_by_text("3 of 5 files").last).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("button", name="Train on these songs")).to_be_disabled()
    drop_files(page, SONGS[3:5])
    expect(page.get_by_text("5 files", exact=True).last).to_be_visible(timeout=SLOW_MS)

    start_quick_training(page)
    expect(page.get_by_text(re.compile(r"Loss: \d\.\d{4}")).first).to_be_visible(timeout=TRAINING_MS)
    expect(page.locator("svg.chart, .chart svg").first).to_be_visible()
    page.get_by_role("button", name="Activate", exact=True).click(timeout=TRAINING_MS)
    expect(page.locator(".active-style")).to_contain_text("Lagos nights", timeout=SLOW_MS)

    generate_song(page)
    expect(page.get_by_text("Song", exact=True).last).to_be_visible(timeout=TRAINING_MS)
    assert httpx.get(f"{studio.url}/health").json()["active_checkpoint"]
    assert loudness(newest_song(studio.url)) > AUDIBLE
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator(".active-style")).to_contain_text("none, the base model", timeout=SLOW_MS)


def newest_song(url: str) -> bytes:
    """The sound of the song that was asked for, from the REST of the same server."""
    listed = httpx.post(f"{url}/gradio_api/call/list_songs", json={"data": []}).json()
    stream = httpx.get(f"{url}/gradio_api/call/list_songs/{listed['event_id']}", timeout=30).text
    (songs,) = json.loads(re.search(r"^data: (.*)$", stream, re.MULTILINE)[1])
    return httpx.get(f"{url}/generate/{songs[-1]['id']}/audio", timeout=30).content


def loudness(sound: bytes) -> float:
    samples, _ = soundfile.read(io.BytesIO(sound))
    return float((samples**2).mean() ** 0.5)
