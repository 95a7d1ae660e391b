"""A studio with a token under https://…/studio: login, page and documentation through a real nginx, and in a frame."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driving import MAIN_BUTTON, is_of_this_machine
from tests.studio_server import running_server

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
}}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """The studio's address at nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"HEARTMULA_TOKEN": TOKEN, "HEARTMULA_ROOT_PATH": "/studio"}
    with running_server(tmp_path_factory.mktemp("proxied") / "data", **variables) as server:
        yield from serving(nginx, folder, port, server.url)


def serving(nginx: str, folder: Path, port: int, studio: str) -> Iterator[str]:
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, studio=studio))
    process = subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"])
    try:
        yield f"http://127.0.0.1:{port}/studio/"
    finally:
        process.terminate()
        process.wait()


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


def test_in_a_frame_that_drops_the_cookie_the_page_says_so(page: Page, url):
    """In the huggingface.co frame the browser drops the login cookie and the form stayed silent."""
    frame = f'<!doctype html><iframe src="{url}" width="800" height="600"></iframe>'
    page.route("https://huggingface.co/**", lambda route: route.fulfill(body=frame, content_type="text/html"))
    page.goto("https://huggingface.co/spaces/me/studio")
    framed = page.frame_locator("iframe")
    framed.get_by_label("token").fill(TOKEN)
    framed.get_by_role("button", name="Log in").click()
    expect(framed.get_by_role("alert")).to_contain_text("Open it in its own tab")
    with page.context.expect_page() as opened:
        framed.get_by_role("link", name="its own tab").click()
    assert opened.value.url == url
