"""The HTML of the page is made once for each address that a browser asks for it at."""

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from heartmula_studio.ui.kept_page import MOST_ADDRESSES, KeptPage


class CountingApp:
    """Answers with how often it was asked, and with the status that it is set to."""

    def __init__(self):
        self.calls, self.status = 0, 200

    async def __call__(self, scope, receive, send):
        self.calls += 1
        name = Request(scope).headers.get("host", "")
        await PlainTextResponse(f"{name} {self.calls}", self.status)(scope, receive, send)


@pytest.fixture
def gradio_app():
    return CountingApp()


@pytest.fixture
def get(gradio_app):
    transport = httpx.ASGITransport(app=KeptPage(gradio_app))

    def get(path: str, host: str = "here", method: str = "GET", **headers: str) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(send())

    return get


def test_the_page_is_made_once_for_each_address(get):
    answers = [get("/") for _ in range(3)]
    assert {answer.text for answer in answers} == {"here 1"}
    assert {answer.headers["content-type"] for answer in answers} == {"text/plain; charset=utf-8"}
    assert get("/", "there").text == "there 2"
    assert get("/", **{"X-Forwarded-Proto": "https"}).text == "here 3"
    assert get("/").text == "here 1"


def test_everything_else_is_asked_for_each_time(get, gradio_app):
    for path, method in (("/?deep_link=1", "GET"), ("/config", "GET"), ("/", "HEAD"), ("/", "POST")):
        calls = gradio_app.calls
        get(path, method=method), get(path, method=method)
        assert gradio_app.calls == calls + 2, (method, path)


def test_a_failure_is_not_kept(get, gradio_app):
    gradio_app.status = 500
    assert get("/").status_code == 500
    gradio_app.status = 200
    assert get("/").text == "here 2"


def test_whoever_names_many_hosts_fills_no_memory(get, gradio_app):
    for number in range(MOST_ADDRESSES + 1):
        get("/", f"host{number}")
    assert get("/", "host0").text == f"host0 {MOST_ADDRESSES + 2}"


def test_the_page_of_a_server_says_the_address_it_was_asked_for(server):
    port = server.url.rsplit(":", 1)[1]
    asked = {f"{server.url}/": {}, f"http://localhost:{port}/": {}, f"{server.url}": {"X-Forwarded-Proto": "https"}}
    for url, headers in asked.items():
        first, again = (httpx.get(url, headers=headers, timeout=30) for _ in range(2))
        assert first.content == again.content
        assert first.headers["content-security-policy"] == again.headers["content-security-policy"]
        root = (url.replace("http:", "https:") if headers else url).rstrip("/")
        assert f'"root":"{root}"' in first.text
