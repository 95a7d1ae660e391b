"""A training goes on whatever happens to the page or the server, and is found where it is."""

import re
import socket

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acting import TRAINING_MS, go_to
from tests.e2e.driving import open_page
from tests.studio_server import running_server

pytestmark = pytest.mark.long
PERCENT = re.compile(r"\d+\.\d\d %")


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def start_training(url: str) -> str:
    """Queue a training on the example clips that lasts for a while, and return its id."""
    with httpx.Client(base_url=url, timeout=120) as client:
        dataset = client.post("/training/datasets/examples").raise_for_status().json()
        job = {"dataset_id": dataset["id"], "epochs": 100, "max_window_sec": 10}
        return client.post("/training/jobs", json=job).raise_for_status().json()["id"]


def sees_progress(page: Page) -> None:
    go_to(page, "Jobs")
    expect(page.get_by_text(PERCENT).first).to_be_visible(timeout=TRAINING_MS)
    expect(page.get_by_text(re.compile(r"Loss: \d+\.\d{4}")).first).to_be_visible(timeout=TRAINING_MS)


def test_reload_second_tab_and_restart_during_training(new_page, tmp_path, port):
    first, second = new_page(), new_page()
    with running_server(tmp_path / "data", "--port", str(port)) as server:
        id = start_training(server.url)
        open_page(first, server)
        sees_progress(first)
        first.reload()
        sees_progress(first)
        open_page(second, server)
        sees_progress(second)
        server.stop()
    with running_server(tmp_path / "data", "--port", str(port)) as server:
        open_page(first, server)
        sees_progress(first)
        assert httpx.get(f"{server.url}/training/jobs/{id}").json()["status"] == "running"
        first.get_by_role("button", name="Stop and save").click()
        expect(first.get_by_text("Stopped on request").first).to_be_visible()
        expect(first.get_by_role("button", name="Resume")).to_be_visible()
        first.get_by_role("button", name="Resume").click()
        expect(first.get_by_text(re.compile("Queued|Running")).first).to_be_visible()
        first.get_by_role("button", name="Cancel", exact=True).last.click(timeout=TRAINING_MS)
        expect(first.get_by_role("button", name="Clone…")).to_be_visible()
