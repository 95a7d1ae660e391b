"""Sessions of the page, and how guesses of the token are slowed."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from heartmula_studio.errors import TooManyAttemptsError
from heartmula_studio.routes.access import Access
from heartmula_studio.routes.attempts import FREE_ATTEMPTS, MAX_PER_MINUTE, Attempts
from heartmula_studio.routes.failures import handle_failures
from heartmula_studio.routes.login import Logins, client_of, login_router
from heartmula_studio.settings import Settings

TOKEN = "correct-horse"
HTTPS = "https://studio.example"


class Clock:
    now_sec = 0.0

    def __call__(self) -> float:
        return self.now_sec


class Browser:
    """Calls a small application that has a token, and shows the headers of what it answers."""

    def __init__(self, is_space: bool = False, url: str = HTTPS, **environ: str):
        app = FastAPI()
        logins = Logins(Settings.load({"HEARTMULA_TOKEN": TOKEN, **environ}), is_space, Clock())
        app.add_middleware(Access, logins=logins)
        handle_failures(app)
        app.include_router(login_router(logins))
        app.get("/config")(lambda: "secret")
        app.get("/")(lambda: "the page")
        self.app, self.url = app, url

    def send(self, method: str, path: str, client: str = "10.0.0.1", **request) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(client, 1))
            async with httpx.AsyncClient(transport=transport, base_url=self.url) as http:
                return await http.request(method, path, **request)

        return asyncio.run(sent())

    def log_in(self, password: str = TOKEN, **request) -> httpx.Response:
        return self.send("POST", "/login", data={"username": "me", "password": password}, **request)

    def session(self) -> dict[str, str]:
        return {"Cookie": self.log_in().headers["Set-Cookie"].partition(";")[0]}


@pytest.mark.parametrize(
    ("is_space", "url", "rule"),
    [
        (False, "http://127.0.0.1", "SameSite=Lax"),
        (False, HTTPS, "SameSite=Lax; Secure"),
        (True, HTTPS, "SameSite=None; Secure; Partitioned"),
    ],
)
def test_other_sites_do_not_send_the_cookie(is_space, url, rule):
    """Under attack, critical: it was SameSite=None wherever the studio ran."""
    cookie = Browser(is_space, url).log_in().headers["Set-Cookie"]
    assert cookie.endswith(f"; HttpOnly; Path=/; {rule}")


def test_a_proxy_that_ends_https_is_known_by_the_origin():
    browser = Browser(url="http://studio.example", HEARTMULA_ROOT_PATH="/studio")
    cookie = browser.log_in(headers={"Origin": HTTPS, "Host": "studio.example"}).headers["Set-Cookie"]
    assert cookie.endswith("; Path=/studio; SameSite=Lax; Secure")


def test_a_proxy_may_say_where_it_serves_the_studio():
    """Without a setting: cookie and login page follow X-Forwarded-Prefix, which must be a plain path."""
    browser = Browser(url="http://studio.example")
    told = {"X-Forwarded-Prefix": "/music/", "X-Forwarded-Host": "studio.example"}
    for path in ("/login", "/music/login"):  # the proxy cuts its prefix off, or passes it on
        answer = browser.send("POST", path, data={"password": TOKEN}, headers=told)
        assert "; Path=/music; " in answer.headers["Set-Cookie"]
    assert '"/music/' in browser.send("GET", "/music/", headers=told).text
    evil = {"X-Forwarded-Prefix": "/a;b"}
    answer = browser.send("POST", "/login", data={"password": TOKEN}, headers=evil)
    assert "; Path=/; " in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(("is_space", "allowed"), [(True, "https://huggingface.co"), (False, "'self'")])
def test_exactly_one_site_may_have_the_page_in_a_frame(is_space, allowed):
    browser = Browser(is_space)
    for headers in ({}, browser.session()):
        policy = browser.send("GET", "/", headers=headers).headers["Content-Security-Policy"]
        assert policy.endswith(f"frame-ancestors {allowed}")


def test_a_login_from_another_site_is_refused():
    browser = Browser()
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = browser.log_in(headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_session_opens_everything_until_its_own_logout():
    browser = Browser()
    first, second = browser.session(), browser.session()
    assert browser.send("GET", "/config", headers=first).text == '"secret"'
    assert browser.send("GET", "/login", headers=first).json() == {"is_logged_in": True}
    left = browser.send("POST", "/logout", headers=first | {"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert left.headers["Location"] == "./"
    assert "Max-Age=0" in left.headers["Set-Cookie"]
    assert browser.send("GET", "/config", headers=first).status_code == 401
    assert browser.send("GET", "/login", headers=first).json() == {"is_logged_in": False}
    assert browser.send("GET", "/config", headers=second).status_code == 200


def test_a_link_does_not_log_out():
    browser = Browser()
    session = browser.session()
    assert browser.send("GET", "/logout", headers=session).status_code == 405
    assert browser.send("GET", "/config", headers=session).status_code == 200


def test_the_login_page_tells_nothing_else():
    """Under attack: it listed every call of the studio."""
    page = Browser(HEARTMULA_ROOT_PATH="/studio").send("GET", "/")
    assert page.status_code == 200
    assert '<base href="/studio/">' in page.text
    assert 'name="password"' in page.text
    assert "own tab" in page.text
    for word in ("gradio", "list_datasets", "dependencies"):
        assert word not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy


@pytest.mark.parametrize("way", ["login", "bearer"])
def test_guesses_are_slowed_and_the_token_is_not_looked_at_meanwhile(way):
    """Under attack: 300 guesses took 14 s."""
    browser = Browser()

    def guess(token: str, client: str = "10.0.0.1") -> httpx.Response:
        if way == "login":
            return browser.log_in(token, client=client)
        return browser.send("GET", "/training", client, headers={"Authorization": f"Bearer {token}"})

    answers = [guess(f"wrong-token-{i}") for i in range(30)]
    assert [answer.status_code for answer in answers] == [401] * FREE_ATTEMPTS + [429] * (30 - FREE_ATTEMPTS)
    assert answers[-1].json()["error"]["code"] == "too_many_attempts"
    assert int(answers[-1].headers["Retry-After"]) == 1
    assert guess(TOKEN).status_code == 429
    assert guess(TOKEN, "10.0.0.2").status_code in (200, 404)


def test_a_session_goes_on_while_others_guess():
    browser = Browser()
    session = browser.session()
    for i in range(FREE_ATTEMPTS + 1):
        browser.log_in(f"wrong-token-{i}")
    assert browser.send("GET", "/config", headers=session).status_code == 200


@pytest.fixture
def clock() -> Clock:
    return Clock()


def retry_after_sec(attempts: Attempts, client: str, is_right: bool = False) -> int:
    try:
        attempts.check(client, lambda: is_right)
    except TooManyAttemptsError as error:
        return error.retry_after_sec
    return 0


def test_a_client_waits_twice_as_long_each_time_but_never_more_than_64_s(clock):
    attempts, waits = Attempts(clock), []
    for _ in range(FREE_ATTEMPTS + 8):
        waits.append(retry_after_sec(attempts, "a"))
        clock.now_sec += waits[-1]
        if waits[-1]:
            attempts.check("a", lambda: False)
    assert waits == [0] * FREE_ATTEMPTS + [1, 2, 4, 8, 16, 32, 64, 64]


def test_the_right_token_ends_the_wait_and_so_does_an_hour(clock):
    attempts = Attempts(clock)
    for _ in range(FREE_ATTEMPTS):
        attempts.check("a", lambda: False)
    clock.now_sec += 1
    assert attempts.check("a", lambda: True)
    assert retry_after_sec(attempts, "a") == 0
    for _ in range(FREE_ATTEMPTS):
        retry_after_sec(attempts, "b")
    clock.now_sec += 3600
    assert [retry_after_sec(attempts, "b") for _ in range(FREE_ATTEMPTS)] == [0] * FREE_ATTEMPTS


def test_guesses_from_many_addresses_are_slowed_without_locking_the_owner_out(clock):
    attempts = Attempts(clock)
    attempts.check("owner", lambda: True)
    waits = [retry_after_sec(attempts, f"client {i}") for i in range(MAX_PER_MINUTE + 10)]
    assert waits == [0] * MAX_PER_MINUTE + [60] * 10
    assert attempts.check("owner", lambda: True)
    clock.now_sec += 60
    assert retry_after_sec(attempts, "newcomer", is_right=True) == 0


@pytest.mark.parametrize(
    ("host", "client"), [("10.0.0.1", "10.0.0.1"), ("2001:db8::1", "2001:db8::/64"), ("testclient", "testclient")]
)
def test_one_machine_is_one_client(host, client):
    assert client_of({"client": (host, 1)}) == client
    assert client_of({"client": None}) == ""
