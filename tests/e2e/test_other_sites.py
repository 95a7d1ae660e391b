"""Pages of other sites, open in the same browser as a studio: they create, list and delete nothing in it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OTHER_SITE
from tests.e2e.driving import MAIN_BUTTON
from tests.studio_server import Server

# Tries everything that a page can send without asking first, and tells what of the answers it could read.
ATTACK = """
async (studio) => {
  const json = JSON.stringify({name: "stolen", data: ["stolen", []], fn_index: 0, session_hash: "stolen"});
  const form = new FormData();
  form.append("files", new Blob(["stolen"]), "stolen.mp3");
  const paths = ["training/datasets", "training/datasets/examples", "training/checkpoints/x/activate", "health",
    "config", "gradio_api/call/create_dataset", "gradio_api/call/list_datasets", "gradio_api/run/create_dataset",
    "gradio_api/queue/join", "gradio_api/queue/data?session_hash=stolen", "gradio_api/upload", "gradio_api/token",
    "gradio_api/startup-events", "gradio_api/deep_link?session_hash=stolen", "login", "logout"];
  const read = [];
  const note = async (path, answer) => {
    if (answer.type !== "opaque" && answer.ok) read.push(path + ": " + (await answer.text()).slice(0, 80));
  };
  for (const path of paths)
    for (const mode of ["no-cors", "cors"])
      for (const options of [{}, {method: "POST", body: json}, {method: "POST", body: form}])
        await fetch(`${studio}/${path}`, {mode, credentials: "include", ...options})
          .then((answer) => note(path, answer)).catch(() => null);
  await fetch(`${studio}/training/datasets`, {
    method: "POST", body: json, headers: {"Content-Type": "application/json"}
  }).then((answer) => note("json", answer)).catch(() => null);
  await new Promise((done) => {
    const events = new EventSource(`${studio}/gradio_api/queue/data?session_hash=stolen`);
    events.onmessage = (event) => { read.push(event.data); done(); };
    events.onerror = () => { events.close(); done(); };
  });
  await new Promise((done) => {
    const socket = new WebSocket(`${studio.replace("http", "ws")}/gradio_api/queue/join`);
    socket.onopen = () => { read.push("websocket"); done(); };
    socket.onerror = done;
  });
  for (const path of ["training/datasets/examples", "gradio_api/call/create_example_dataset", "gradio_api/upload"]) {
    document.body.innerHTML = `<iframe name="sink"></iframe><form method="post" target="sink" action="${studio}/${path}"
      enctype="text/plain"><input name='{"data": [], "x": "' value='"}'></form>`;
    const loaded = new Promise((done) => document.querySelector("iframe").addEventListener("load", done));
    document.querySelector("form").submit();
    await loaded;
  }
  return read;
}
"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>other</title><body></body>")

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that belongs to another site, under every name of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def kept(studio: Server) -> tuple[str, ...]:
    """All that the studio holds, and the files that were uploaded to it."""
    lists = (httpx.get(f"{studio.url}/{path}", timeout=60).text for path in ("training/datasets", "generate", "styles"))
    uploads = studio.data_dir.with_name(f"{studio.data_dir.name}-gradio")
    return *lists, json.dumps(sorted(str(path) for path in uploads.rglob("*stolen*")))


@pytest.mark.parametrize("name", ["127.0.0.1", pytest.param("localhost", marks=pytest.mark.long), OTHER_SITE])
def test_a_page_of_another_site_does_nothing(page: Page, studio: Server, port, name):
    """Under attack, critical: in Chromium such a page created, listed and deleted datasets through Gradio's routes."""
    before = kept(studio)
    page.goto(f"http://{name}:{port}/")
    assert page.evaluate(ATTACK, studio.url) == []
    assert page.evaluate(ATTACK, studio.url.replace("127.0.0.1", "localhost")) == []
    assert kept(studio) == before


def test_a_name_pointed_at_this_machine_is_refused(page: Page, studio: Server):
    answer = page.goto(f"http://{OTHER_SITE}:{urlsplit(studio.url).port}/")
    assert answer.status == 403
    assert f"not the name '{OTHER_SITE}'" in answer.text()


def test_a_link_on_another_site_opens_the_page(page: Page, studio: Server, port):
    page.goto(f"http://{OTHER_SITE}:{port}/")
    page.evaluate("(url) => { document.body.innerHTML = `<a href='${url}'>studio</a>` }", studio.url)
    page.get_by_text("studio").click()
    expect(page.get_by_role("button", name=MAIN_BUTTON, exact=True)).to_be_visible()
