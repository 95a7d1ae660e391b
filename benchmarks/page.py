"""Measures the page in a Chromium of its own, on loopback: `python -m benchmarks.page`. Prints Markdown."""

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import load_average, machine, table
from benchmarks.starting import talking_to
from benchmarks.studio_process import StudioProcess, running_studio
from benchmarks.training import steps_done, training, wait_for_first_step
from heartmula_studio.finetune.events import StepEvent, from_line
from heartmula_studio.finetune.run_folder import RunFolder

MAIN_BUTTON = "Generate"
JOBS = ("🎓 Training Studio", "📊 Jobs")  # the tabs that lead there
CHART = ".chart svg, svg.chart"
LAST_STEP = re.compile(r"last \S+ at step (\d+)")  # in what the chart says of itself

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
USABLE_MS = 60_000
SETTLE_SEC = 3.0  # what the page still fetches once it can be used
POLL_SEC = 0.005

IS_USABLE = """name => [...document.querySelectorAll("button")].some(
    button => button.innerText.trim() === name && !button.disabled && button.checkVisibility())"""
# What is there when a frame is about to be drawn is seen at most one frame later.
WATCH_CHART = """chart => {
    window.drawn = [];
    let before;
    const look = () => {
        const label = document.querySelector(chart)?.getAttribute("aria-label");
        if (label && label !== before) window.drawn.push([performance.timeOrigin + performance.now(), before = label]);
        requestAnimationFrame(look);
    };
    look();
}"""


@dataclass(frozen=True)
class Visit:
    """Seconds until the main button could be pressed; what was fetched until the page was quiet."""

    seconds: float
    requests: int
    kilobytes: float


class Traffic:
    """What a page fetches, as the network counts it; what the browser has already is not fetched."""

    def __init__(self, page: Page):
        self.num_bytes = 0.0
        self._asked: set[str] = set()
        self._had: set[str] = set()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.requestServedFromCache", lambda event: self._had.add(event["requestId"]))
        session.on("Network.responseReceived", self._answered)
        session.on("Network.loadingFinished", lambda event: self._received(event["encodedDataLength"]))

    @property
    def requests(self) -> int:
        return len(self._asked - self._had)

    def _sent(self, event: dict) -> None:
        if event["request"]["url"].startswith("http"):
            self._asked.add(event["requestId"])

    def _answered(self, event: dict) -> None:
        if event["response"].get("fromDiskCache"):
            self._had.add(event["requestId"])

    def _received(self, num_bytes: float) -> None:
        self.num_bytes += num_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3, help="servers started")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the chart and the server are watched")
    parsed = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers and the job are stopped then, too
    with chromium() as browser:
        print(f"{machine()} Chromium {browser.version}. Load average before: {load_average()}.\n")
        for part in parts(browser, parsed.starts, parsed.seconds):
            print(part, end="\n\n", flush=True)
    print(f"Load average after: {load_average()}.")


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("Chromium is not installed: apt-get install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def parts(browser: Browser, starts: int, seconds: float) -> Iterator[str]:
    yield visits_table([visit_a_new_studio(browser) for _ in range(starts)])
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        with (
            running_studio(data_dir) as studio,
            talking_to(studio) as client,
            training(client, data_dir) as job,
        ):
            wait_for_first_step(client, job.job)
            yield chart_table(chart_delays(browser, studio, RunFolder(data_dir / "jobs" / job.job).metrics, seconds))
            yield cpu_table(server_loads(browser, studio, seconds))
            steps_done(client, job.job)


def visit_a_new_studio(browser: Browser) -> dict[str, Visit]:
    """Three visits: while the server starts, by another browser later, and by that one again."""
    with tempfile.TemporaryDirectory() as folder, running_studio(Path(folder) / "data") as studio:
        with closing_page(browser) as page:
            first = visit(page, studio.url, studio.began)
        with closing_page(browser) as page:
            later = visit(page, studio.url)
            again = visit(page, studio.url)
    return {"from `python app.py`": first, "server running, first visit": later, "server running, again": again}


@contextmanager
def closing_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def visit(page: Page, url: str, began: float | None = None) -> Visit:
    traffic, began = Traffic(page), began or time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function(IS_USABLE, arg=MAIN_BUTTON, polling="raf", timeout=USABLE_MS)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(SETTLE_SEC * 1000)
    return Visit(seconds, traffic.requests, traffic.num_bytes / 1000)


def open_jobs(page: Page, studio: StudioProcess) -> None:
    visit(page, studio.url)
    for name in JOBS:
        page.get_by_role("tab", name=name).click()
    page.locator(CHART).first.wait_for()


def chart_delays(browser: Browser, studio: StudioProcess, metrics: Path, seconds: float) -> list[float]:
    """Seconds from the moment a step is in the file until the chart shows it."""
    with closing_page(browser) as page:
        open_jobs(page, studio)
        page.evaluate(WATCH_CHART, CHART)
        written = steps_written(metrics, seconds)
        page.wait_for_timeout(SETTLE_SEC * 1000)
        drawn = [(at / 1000, int(LAST_STEP.search(label)[1])) for at, label in page.evaluate("window.drawn")]
    return [next(at for at, last in drawn if last >= step) - since for step, since in written.items()]


def steps_written(metrics: Path, seconds: float) -> dict[int, float]:
    """When each step appeared in the file from now on."""
    seen, deadline = {}, time.monotonic() + seconds
    with metrics.open("rb") as file:
        file.seek(0, 2)
        while time.monotonic() < deadline:
            if not (line := file.readline()).endswith(b"\n"):
                file.seek(-len(line), 1)
                time.sleep(POLL_SEC)
            elif isinstance(event := from_line(json.loads(line)), StepEvent):
                seen[event.step] = time.time()
    return seen


def server_loads(browser: Browser, studio: StudioProcess, seconds: float) -> dict[str, float]:
    """The share of one core that the server uses while a job trains, which it does in a process of its own."""
    loads = {"no page open": server_load(studio, seconds)}
    with closing_page(browser) as page:
        visit(page, studio.url)
        loads["Create open"] = server_load(studio, seconds)
        open_jobs(page, studio)
        loads["Jobs open"] = server_load(studio, seconds)
    return loads


def server_load(studio: StudioProcess, seconds: float) -> float:
    before = cpu_sec(studio)
    time.sleep(seconds)
    return (cpu_sec(studio) - before) / seconds


def cpu_sec(studio: StudioProcess) -> float:
    used = psutil.Process(studio.process.pid).cpu_times()
    return used.user + used.system


def visits_table(starts: list[dict[str, Visit]]) -> str:
    rows = []
    for what in starts[0]:
        visits = [start[what] for start in starts]
        seconds, weight = median(v.seconds for v in visits), median(v.kilobytes for v in visits)
        rows.append((what, f"{seconds:.1f}", str(max(v.requests for v in visits)), f"{weight:,.0f}"))
    return table((f"Until *{MAIN_BUTTON}* can be pressed", "seconds", "requests", "kB"), rows)


def chart_table(delays: list[float]) -> str:
    row = (f"{len(delays)} steps", f"{median(delays):.2f}", f"{max(delays):.2f}")
    return table(("From a step in the file to the chart", "median (s)", "longest (s)"), [row])


def cpu_table(loads: dict[str, float]) -> str:
    rows = [(what, f"{100 * load:.1f}") for what, load in loads.items()]
    return table(("The server while a job trains", "% of a core"), rows)


if __name__ == "__main__":
    sys.exit(main())
