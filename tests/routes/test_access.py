"""Who may call: the middleware in front of a small application."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request

from heartmula_studio.routes.access import MAX_BODY_BYTES, Access
from heartmula_studio.routes.failures import handle_failures
from heartmula_studio.routes.login import Logins
from heartmula_studio.routes.origin import is_loopback
from heartmula_studio.settings import Settings

TOKEN = "correct-horse"


@pytest.fixture
def call(tmp_path):
    """call(environment, method, path, ...) → the answer of an application that says how many bytes it read."""

    def call_app(environ: dict[str, str], method: str, path: str, host: str = "127.0.0.1:7860", **request):
        app = FastAPI()
        settings = Settings.load({"HEARTMULA_DATA_DIR": str(tmp_path), **environ})
        app.add_middleware(Access, logins=Logins(settings, is_space=False))
        handle_failures(app)

        @app.api_route("/{rest:path}", methods=["GET", "POST", "PUT", "DELETE"])
        async def count(request: Request) -> int:
            return len(await request.body())

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
                return await client.request(method, path, **request)

        return asyncio.run(send())

    return call_app


PROTECTED = {"HEARTMULA_TOKEN": TOKEN, "HEARTMULA_HOST": "0.0.0.0"}


@pytest.mark.parametrize(
    "path",
    ["/training/datasets", "/training", "/generate/music", "/generate", "/generate?limit=1", "/styles", "/health/x"],
)
@pytest.mark.parametrize("sent", [None, "", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", "Bearer correct-hors"])
def test_without_the_token_nothing_is_answered(call, path, sent):
    answer = call(PROTECTED, "GET", path, headers={} if sent is None else {"Authorization": sent})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"
    assert TOKEN not in answer.text


def test_with_the_token_everything_is_answered(call):
    for scheme in ("Bearer", "bearer"):
        assert call(PROTECTED, "GET", "/training", headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 200
    assert call(PROTECTED, "GET", "/health").status_code == 200


def test_a_header_that_is_no_text_is_a_wrong_token(call):
    answer = call(PROTECTED, "GET", "/training", headers={"Authorization": b"Bearer \xff\xfe"})
    assert answer.status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "192.168.0.9", "localhost.evil.com", "[", ""])
def test_a_name_that_is_not_this_machine_is_refused_on_loopback(call, host):
    """A web page whose name is pointed at 127.0.0.1 could use the studio of everyone who opens it."""
    answer = call({}, "GET", "/training/datasets", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860", "127.0.0.2"])
def test_every_name_of_this_machine_is_served(call, host):
    assert call({}, "GET", "/training/datasets", headers={"Host": host}).status_code == 200


def test_whoever_allows_anyone_is_served_under_any_name(call):
    environ = {"HEARTMULA_ALLOW_ANONYMOUS": "1"}
    assert call(environ, "GET", "/training/datasets", headers={"Host": "studio.example"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://localhost"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_page_of_another_site_may_not_change_anything(call, method, origin):
    """POST …/activate has no body, so a form on any web site could have sent it."""
    answer = call({}, method, "/training/checkpoints/x/activate", headers={"Origin": origin})
    assert answer.status_code == 403


def test_our_own_page_may(call):
    headers = {"Origin": "http://127.0.0.1:7860"}
    assert call({}, "POST", "/training/datasets", headers=headers).status_code == 200
    assert call({}, "GET", "/training/datasets", headers=headers | {"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/training/datasets", "/gradio_api/upload", "/gradio_api/queue/data", "/config"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:7860"},
        {"Origin": "http://127.0.0.1:7861"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},  # another port of localhost
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_a_page_of_another_site_reaches_no_path(call, path, headers):
    """Under attack, critical: the origin check covered REST paths only."""
    for method in ("GET", "POST"):
        assert call({}, method, path, headers=headers).status_code == 403
        assert call(PROTECTED, method, path, headers=headers).status_code == 403
        assert call({"HEARTMULA_ALLOW_ANONYMOUS": "1"}, method, path, headers=headers).status_code == 403


def test_a_link_on_another_site_opens_the_page_and_nothing_else(call):
    opened = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert [call({}, "GET", path, headers=opened).status_code for path in ("/", "/docs", "/redoc")] == [200] * 3
    for path in ("/training/datasets", "/logout", "/gradio_api/startup-events", "/gradio_api/call/health/1"):
        assert call({}, "GET", path, headers=opened).status_code == 403
    assert call({}, "POST", "/", headers=opened).status_code == 403


@pytest.mark.parametrize("environ", [{}, PROTECTED])
def test_no_origin_is_echoed(call, environ):
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        answer = call(environ, method, "/config", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


CLOSED = """token user login_check deep_link dev/reload runs run-history/buckets vibe-code custom_component/a/b/c/d
proxy=https://x.hf.space/ file=https://example.com/ file/etc/passwd monitoring process_recording component_server
profiling/traces openapi.json stream/1"""


@pytest.mark.parametrize("path", [f"/gradio_api/{name}" for name in CLOSED.split()] + ["/monitoring/1"])
def test_what_the_page_does_not_need_is_closed(call, path):
    """Gradio's `token` gives the session in its body; others are for developers and other sites."""
    assert call({}, "GET", path).status_code == 404
    assert call(PROTECTED, "GET", path).status_code == 401
    assert call(PROTECTED, "GET", path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404


def test_websockets_are_refused():
    sent = []

    async def connect() -> None:
        async def send(message):
            sent.append(message["type"])

        access = Access(FastAPI(), Logins(Settings.load({}), is_space=False))
        await access({"type": "websocket", "path": "/", "headers": []}, None, send)

    asyncio.run(connect())
    assert sent == ["websocket.close"]


@pytest.mark.parametrize(
    ("root_path", "host", "origin", "status"),
    [
        ("/studio", "127.0.0.1:7860", "http://127.0.0.1:7860", 200),
        ("https://music.example/studio", "music.example", "https://music.example", 200),
        ("https://music.example/studio", "127.0.0.1:7860", "https://music.example", 200),  # the proxy's own Host
        ("https://music.example/studio", "music.example", "http://music.example:81", 403),
        ("https://music.example/studio", "other.example", "https://music.example", 403),
        ("/studio", "music.example", "https://music.example", 403),
    ],
)
@pytest.mark.parametrize("path", ["/training/datasets", "/studio/training/datasets"])
def test_behind_a_proxy_the_public_name_is_served(call, root_path, host, origin, status, path):
    """Whether the proxy cuts the prefix off or not."""
    headers = {"Host": host, "Origin": origin}
    assert call({"HEARTMULA_ROOT_PATH": root_path}, "POST", path, headers=headers).status_code == status


def test_a_request_is_limited_with_and_without_its_length(call):
    async def pieces():
        for _ in range(MAX_BODY_BYTES // 2**20 + 1):
            yield b"x" * 2**20

    assert call({}, "POST", "/training/jobs", content=b"x" * MAX_BODY_BYTES).json() == MAX_BODY_BYTES
    for content in (b"x" * (MAX_BODY_BYTES + 1), pieces()):
        answer = call({}, "POST", "/training/jobs", content=content)
        assert answer.status_code == 413
        assert f"{MAX_BODY_BYTES:,}" in answer.text


def test_files_that_are_named_after_their_contents_are_fetched_once(call):
    """Each visit asked for over a hundred of them again."""
    kept = call({}, "GET", "/assets/index-DphvyggB.js").headers.get("Cache-Control", "")
    assert "immutable" in kept
    assert "private" in kept
    others = [call({}, "GET", "/assets/index.js"), call({"HEARTMULA_TOKEN": TOKEN}, "GET", "/assets/index-DphvyggB.js")]
    assert others[1].status_code == 401
    assert not [one for one in others if "immutable" in one.headers.get("Cache-Control", "")]


def test_headers_for_browsers(call):
    rest, page = call({}, "GET", "/training/jobs").headers, call({}, "GET", "/").headers
    assert rest["X-Content-Type-Options"] == page["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in rest["Content-Security-Policy"]
    assert page["Content-Security-Policy"] == "frame-ancestors 'self'"
    refused = call({}, "GET", "/training/jobs", headers={"Host": "evil.example"})
    assert refused.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "is_this_machine"),
    [("localhost", True), ("127.8.8.8", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("me", False)],
)
def test_what_reaches_this_machine_only(host, is_this_machine):
    assert is_loopback(host) is is_this_machine
