"""Studios with a token under …/studio through a real nginx: over http with the path cut off, and as a Space over https.

There nginx passes the path on whole, buffers what it passes, and the page lies in a frame of huggingface.co.
"""

import shutil
import socket
import ssl
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from playwright.sync_api import FrameLocator, Page, Route, expect

from tests.e2e.driving import MAIN_BUTTON, is_of_this_machine
from tests.studio_server import running_server
from tests.test_docs import ADDRESS, blocks

pytestmark = pytest.mark.long
TOKEN = "correct-horse"
CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    location /studio/ {{
      proxy_pass {studio}/;  # its last slash cuts /studio off
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
  server {{
    listen 127.0.0.1:{https_port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    {location}  # that of docs/install.md; without a path behind the address /studio stays
  }}
}}
"""
CERTIFICATE = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
IN_A_FRAME = '<!doctype html><iframe src="{url}" width="800" height="600"></iframe>'


@dataclass(frozen=True)
class Proxied:
    """Addresses at nginx, and where a client finds the certificate of the second."""

    plain: str
    space: str
    certificate: Path


@pytest.fixture(scope="module")
def proxied(tmp_path_factory) -> Iterator[Proxied]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    variables = {"HEARTMULA_TOKEN": TOKEN, "HEARTMULA_ROOT_PATH": "/studio"}
    with (
        running_server(tmp_path_factory.mktemp("proxied") / "data", **variables) as server,
        running_server(tmp_path_factory.mktemp("space") / "data", SPACE_ID="me/studio", **variables) as space,
    ):
        yield from serving(nginx, folder, server.url, space.url)


@pytest.fixture
def url(proxied) -> str:
    return proxied.plain


def serving(nginx: str, folder: Path, studio: str, space: str) -> Iterator[Proxied]:
    port, https_port = free_port(), free_port()
    [location] = [text for language, text in blocks("install.md") if language == "nginx"]
    names = {"folder": folder, "port": port, "https_port": https_port, "studio": studio}
    names["location"] = location.strip().replace(ADDRESS, space)
    (folder / "nginx.conf").write_text(CONFIG.format(**names))
    to_files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", *CERTIFICATE.split(), *to_files], check=True, capture_output=True)
    process = subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"])
    try:
        https = f"https://127.0.0.1:{https_port}/studio/"
        yield Proxied(f"http://127.0.0.1:{port}/studio/", https, folder / "cert.pem")
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def log_in(page: Page, token: str) -> None:
    page.get_by_label("token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_login_page_and_logout_work_under_a_prefix(page: Page, url, seen):
    """Under a path prefix the page could not log in unless GRADIO_ROOT_PATH was set."""
    page.goto(url)
    log_in(page, "wrong-token")
    expect(page.get_by_role("alert")).to_contain_text("not the studio's token")
    log_in(page, TOKEN)
    expect(page.get_by_role("button", name=MAIN_BUTTON, exact=True)).to_be_visible()
    [cookie] = [cookie for cookie in page.context.cookies() if "session" in cookie["name"]]
    assert (cookie["sameSite"], cookie["httpOnly"], cookie["path"]) == ("Lax", True, "/studio")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("token")).to_be_visible()
    assert page.url == url
    assert [request for request in seen.requests if not request.startswith(url)] == []


@pytest.mark.parametrize("path", ["docs", "redoc"])
def test_the_documentation_asks_nobody_else(page: Page, url, seen, path):
    """/docs and /redoc asked three foreign hosts, and for /openapi.json at the root.

    ReDoc's script wants a logo from elsewhere, which the page's policy keeps from being asked for.
    """
    page.goto(url + path)
    expect(page.get_by_text("/training/datasets").first).to_be_visible()
    blocked = " ".join(error for error in seen.console_errors if "The action has been blocked" in error)
    assert [asked for asked in seen.requests if not is_of_this_machine(asked) and asked not in blocked] == []
    assert httpx.get(f"{url}openapi.json").json()["servers"] == [{"url": "/studio"}]


def in_a_frame(page: Page, url: str) -> FrameLocator:
    """The studio in a page of huggingface.co."""
    body = IN_A_FRAME.format(url=url)
    page.route("https://huggingface.co/**", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto("https://huggingface.co/spaces/me/studio")
    return page.frame_locator("iframe")


def log_in_inside(framed: FrameLocator) -> None:
    framed.get_by_label("token").fill(TOKEN)
    framed.get_by_role("button", name="Log in").click()


def test_a_space_is_logged_in_to_inside_the_frame(new_page, proxied):
    page = new_page(ignore_https_errors=True)
    framed = in_a_frame(page, proxied.space)
    log_in_inside(framed)
    expect(framed.get_by_role("button", name=MAIN_BUTTON, exact=True)).to_be_visible()
    [cookie] = [cookie for cookie in page.context.cookies() if "session" in cookie["name"]]
    assert (cookie["sameSite"], cookie["secure"], cookie["path"]) == ("None", True, "/studio")


def test_in_a_frame_that_drops_the_cookie_the_page_says_so(new_page, proxied):
    """Some browsers drop every cookie in a frame, and the form stayed silent."""
    page = new_page(ignore_https_errors=True)

    def without_cookie(route: Route) -> None:
        """The page asks whether its browser has kept the cookie."""
        route.fulfill(json={"is_logged_in": False}) if route.request.method == "GET" else route.continue_()

    page.route("**/studio/login", without_cookie)
    framed = in_a_frame(page, proxied.space)
    log_in_inside(framed)
    expect(framed.get_by_role("alert")).to_contain_text("Open it in its own tab")
    with page.context.expect_page() as opened:
        framed.get_by_role("link", name="its own tab").click()
    assert opened.value.url == proxied.space


def test_other_sites_may_not_frame_it(page, url):
    """Only a Space lies in a frame, and only in that of huggingface.co."""
    assert httpx.get(url).headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")


def test_players_exports_and_clients_work_over_https_with_the_path_passed_on(new_page, proxied, seen, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(proxied.certificate))
    patient = {"timeout": 180}
    client = Client(
        proxied.space, auth=("me", TOKEN), ssl_verify=str(proxied.certificate), verbose=False, httpx_kwargs=patient
    )
    dataset = client.predict(api_name="/create_example_dataset")
    exported = client.predict(dataset["id"], "folder", api_name="/export_dataset")
    assert zipfile.is_zipfile(exported)

    page = new_page(ignore_https_errors=True)
    page.goto(proxied.space)
    log_in(page, TOKEN)
    page.get_by_role("tab", name="Training Studio").click()
    card = page.locator(".card", has=page.get_by_role("heading", name=dataset["name"]))
    card.get_by_role("button", name="Open").click()
    page.locator(".song-row").first.get_by_role("button", name="Play").click()
    player = page.locator("audio[src]").first
    player.wait_for(state="attached")
    source = player.evaluate("element => element.currentSrc || element.src")
    assert source.startswith(proxied.space)
    assert player.evaluate("async (element, source) => (await fetch(source)).status", source) == 200
    assert [asked for asked in seen.requests if not asked.startswith((proxied.space, "data:", "blob:"))] == []


def test_events_come_through_a_proxy_that_buffers(proxied):
    """nginx kept server-sent events back until there were many."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    trusted = ssl.create_default_context(cafile=proxied.certificate)
    stream = f"{proxied.space}gradio_api/heartbeat/a-session"
    with httpx.stream("GET", stream, headers=headers, verify=trusted, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_text())
