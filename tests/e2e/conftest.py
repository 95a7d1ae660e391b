"""A real browser, pages of it that are watched, and a studio for them."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.hub_endpoint import HubEndpoint, hub_endpoint
from tests.studio_server import Server, running_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OTHER_SITE = "evil.test"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    # The newest Chromium keeps other sites from this machine by itself; other browsers do not.
    "--disable-features=LocalNetworkAccessChecks",
    # As a name server does that an attacker has told so.
    f"--host-resolver-rules=MAP {OTHER_SITE} 127.0.0.1",
]
PATIENCE_MS = 180_000  # two cores may be busy with other tests
USUAL = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light", "reduced_motion": "reduce"}
SCREENSHOTS = pytest.StashKey[Callable[[], list[Path]]]()
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Seen:
    """What the pages of one test asked for and complained of."""

    pages: list[Page] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)
    uncaught: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        self.pages.append(page)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self._hear(message))
        page.on("pageerror", lambda error: self.uncaught.append(error.stack or str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def screenshots(self, folder: Path) -> list[Path]:
        paths = [folder / f"page-{number}.png" for number in range(len(self.pages))]
        for path, page in zip(paths, self.pages, strict=True):
            page.screenshot(path=path, full_page=True)
        return paths


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Not for the session: while it lives, its event loop runs in this thread, and no other test could run one."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def new_page(browser, seen, request, tmp_path) -> Iterator[Callable[..., Page]]:
    """new_page(viewport={"width": 390, "height": 844}, color_scheme="dark", …) → a page that remembers nothing.

    Takes what Playwright's `Browser.new_context` takes. An error that no script caught fails the test.
    """
    contexts = []
    request.node.stash[SCREENSHOTS] = lambda: seen.screenshots(tmp_path)

    def new(**options) -> Page:
        contexts.append(browser.new_context(**USUAL | options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        seen.watch(page)
        return page

    yield new
    for context in contexts:
        context.close()
    assert not seen.uncaught, "\n".join(seen.uncaught)


@pytest.fixture
def page(new_page) -> Page:
    return new_page()


@contextmanager
def lasting_page(browser: Browser) -> Iterator[Page]:
    """A page for several tests: what was done in one is there in the next, as for a person. Watched as `new_page`'s."""
    with browser.new_context(**USUAL) as context:
        page, seen = context.new_page(), Seen()
        page.set_default_timeout(PATIENCE_MS)
        seen.watch(page)
        yield page
    assert not seen.uncaught, "\n".join(seen.uncaught)


@pytest.fixture(scope="session")
def hub() -> Iterator[HubEndpoint]:
    """What `studio` takes for the Hugging Face Hub."""
    with hub_endpoint() as hub:
        yield hub


@pytest.fixture(scope="session")
def studio(hub, tmp_path_factory) -> Iterator[Server]:
    """For all tests that only need some page; each finds there what others have left."""
    folder = tmp_path_factory.mktemp("studio")
    with running_server(folder / "data", **hub.environment, HF_HOME=str(folder / "hf")) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Show with a failure what its pages looked like."""
    report = yield
    if report.when == "call" and report.failed and SCREENSHOTS in item.stash:
        report.sections.append(("Screenshots", "\n".join(map(str, item.stash[SCREENSHOTS]()))))
    return report
