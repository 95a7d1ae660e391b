"""How fast everything is, in ratios of one run: `python -m benchmarks.speed --against CHECKOUT`. Prints Markdown.

Each row is measured on this checkout, on the other one where there is one, and on the least that FastAPI or Gradio take
for the same. What needs a GPU, which `python -m benchmarks.model --random 3B` measures, or heartlib, is only named.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx
import psutil

from benchmarks import reading
from benchmarks.report import load_average, machine, table
from benchmarks.same_as_before import run
from benchmarks.starting import list_datasets, talking_to
from benchmarks.studio_process import MIB, ROOT, StudioProcess, environment, running_studio, stop
from benchmarks.training import answer, training, wait_for_first_step

SONG = {"tags": "electronic, fast", "duration_sec": 20, "seed": 1, "cfg_scale": 1.5}
MEANWHILE_SONG = {"tags": "electronic", "duration_sec": 240}
LORA = ("--tags", "techno", "--epochs", "40", "--max-steps", "8", "--window", "30", "--batch-size", "1")
LATER = {
    "--ladder-rungs": "0",
    "--track-versions": "1",
    "--prior-fraction": "0",
}  # what the other checkout may not know
FILL = "import sys; from pathlib import Path; from benchmarks.filling import *; "
FILL += "fill(Path(sys.argv[1]), Amounts(int(sys.argv[2]), int(sys.argv[2]), 20), sys.argv[3])"
IDLE_SEC, LOOK_SEC = 20.0, 0.1
SWITCHES = 5  # for each start
HEADS = ("what", "target", "this", "the other checkout", "bare", "this to bare", "this to the other")
NOT_MEASURED = (
    ("a frame by nano's code to one by heartlib's, which is not on PyPI", "≥ 8 times"),
    ("LoRA step of the 3B, 60 s", "30 % of matmul"),
    ("song of the 3B", "20 x real time"),
    ("tokens to sound, 3B", "30 x real time"),
    ("a style switched on the 3B", "0.5 s"),
)


@dataclass(frozen=True)
class Row:
    """One figure; None is what was not measured. `unit` is put behind each."""

    what: str
    target: str
    this: float
    other: float | None = None
    bare: float | None = None
    unit: str = ""

    def cells(self) -> tuple[str, ...]:
        figures = (shown(value, self.unit) for value in (self.this, self.other, self.bare))
        return (self.what, self.target, *figures, ratio(self.this, self.bare), ratio(self.this, self.other))


@dataclass(frozen=True)
class Plan:
    """`checkouts` are this one and, if there is one, the other."""

    checkouts: tuple[Path, ...]
    records: int
    seconds: float
    starts: int


def shown(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.3g} {unit}".strip() if value < 100 else f"{value:,.0f} {unit}".strip()


def ratio(value: float, to: float | None) -> str:
    return f"{value / to:.2f}" if to else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, of an older build say")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--records", type=int, default=1000, help="datasets, and as many jobs")
    parser.add_argument("--seconds", type=float, default=2.0, help="that each call is asked for")
    parser.add_argument("--starts", type=int, default=3)
    parsed = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers are stopped then, too
    checkouts = (ROOT, *([parsed.against.resolve()] if parsed.against else []))
    plan = Plan(checkouts, parsed.records, parsed.seconds, parsed.starts)
    print(f"{machine()} Load average before: {load_average()}.\n")
    rows = []
    for part in parsed.only:
        for row in PARTS[part](plan):
            print(*row.cells(), sep=" | ", file=sys.stderr, flush=True)
            rows.append(row.cells())
    rows += [(what, target, *["not measured"] * (len(HEADS) - 2)) for what, target in NOT_MEASURED]
    print(table(HEADS, rows))
    print(f"\nLoad average after: {load_average()}.")


def with_other(values: Sequence[float]) -> tuple[float, float | None]:
    return values[0], values[1] if len(values) > 1 else None


def start_rows(plan: Plan) -> Iterator[Row]:
    """From `python app.py` to the first answer, and the memory of a server that nobody has asked for anything."""
    times: list[list[float]] = [[] for _ in plan.checkouts]
    memory: list[list[float]] = [[] for _ in plan.checkouts]
    for _ in range(plan.starts):
        for place, checkout in enumerate(plan.checkouts):
            with tempfile.TemporaryDirectory() as folder, running_studio(Path(folder) / "data", checkout) as studio:
                with talking_to(studio) as client:
                    list_datasets(client)
                times[place].append(studio.age_sec())
                memory[place].append(studio.idle_memory_mib())
    with tempfile.TemporaryDirectory() as folder, bare_page({}, Path(folder)) as (_, process):
        bare = psutil.Process(process.pid).memory_info().rss / MIB
    yield Row("start, to the first answer", "", *with_other([median(each) for each in times]), unit="s")
    yield Row("idle memory", "≤ 2.5 of bare", *with_other([median(each) for each in memory]), bare, "MiB")


def reading_rows(plan: Plan) -> Iterator[Row]:
    """Calls that read, on many records, with the engine loaded."""
    if not reading.is_installed():
        print("wrk is not installed: reading calls are not measured.", file=sys.stderr)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        studios = [stack.enter_context(filled_studio(folder / str(i), c, plan)) for i, c in enumerate(plan.checkouts)]
        clients = [stack.enter_context(talking_to(studio)) for studio in studios]
        for client in clients:
            make_song(client, SONG | {"duration_sec": 2})
        paths = list(reading.calls(clients[0], has_pages=True))
        bare = stack.enter_context(reading.bare_server(clients[0], paths, folder / "bare"))
        urls = [bare, *(studio.url for studio in studios)]
        for path in paths:
            shared = path in reading.READS  # ids, and pages, are of this checkout alone
            measured = reading.compare(urls if shared else urls[:2], [path], plan.seconds)[path]
            yield Row(f"GET {path}", "≥ 0.5 of bare", *with_other(measured[1:]), measured[0], "/s")
        yield from tail_rows(studios[0], clients[0], folder / "0", plan)


def tail_rows(studio: StudioProcess, client: httpx.Client, data_dir: Path, plan: Plan) -> Iterator[Row]:
    """How much longer than most the slowest answers take while a job trains and a song is made."""
    with training(client, data_dir) as job:
        wait_for_first_step(client, job.job)
        song = answer(client.post("/generate/music", json=MEANWHILE_SONG))["id"]
        loads = {path: reading.load(studio.url + path, plan.seconds) for path in reading.READS}
        client.post(f"/generate/{song}/cancel")
    for path, load in loads.items():
        yield Row(f"p99 to p50 of GET {path}, job and song under way", "≤ 5", load.p99_ms / load.p50_ms)


@contextmanager
def filled_studio(data_dir: Path, checkout: Path, plan: Plan) -> Iterator[StudioProcess]:
    """Yield a server with many records, which its own code has written."""
    with running_studio(data_dir, checkout) as studio, talking_to(studio) as client:
        with training(client, data_dir) as job:
            wait_for_first_step(client, job.job)
        command = [sys.executable, "-c", FILL, str(data_dir), str(plan.records), job.job]
        subprocess.run(command, cwd=checkout, env=environment(data_dir), check=True)
        yield studio


def make_song(client: httpx.Client, request: dict) -> float:
    """Return the seconds that the server took from the request to the end."""
    id = answer(client.post("/generate/music", json=request))["id"]
    with client.stream("GET", f"/generate/{id}/stream") as sound:
        for _ in sound.iter_raw() if sound.is_success else ():
            pass
    while (song := answer(client.get(f"/generate/{id}")))["status"] in ("queued", "running"):
        time.sleep(LOOK_SEC)
    return seconds_between(song["started_at"], song["finished_at"])


def seconds_between(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def song_rows(plan: Plan) -> Iterator[Row]:
    """A song by nano with guidance, until its file is there, by turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        studios = [stack.enter_context(running_studio(folder / str(i), c)) for i, c in enumerate(plan.checkouts)]
        clients = [stack.enter_context(talking_to(studio)) for studio in studios]
        times: list[list[float]] = [[] for _ in clients]
        for round in range(1 + plan.starts):
            for client, spent in zip(clients, times, strict=True):
                seconds = make_song(client, SONG)
                if round:  # the first loads the model
                    spent.append(seconds)
    yield Row(f"song of {SONG['duration_sec']} s by nano", "≤ 0.67 of the other", *with_other(medians(times)), unit="s")


def medians(times: Sequence[Sequence[float]]) -> list[float]:
    return [median(each) for each in times]


def step_rows(plan: Plan) -> Iterator[Row]:
    """A step of a LoRA on nano, windows of 30 s, as the run itself says."""
    with tempfile.TemporaryDirectory() as folder:
        spent = [step_sec(checkout, Path(folder, str(place))) for place, checkout in enumerate(plan.checkouts)]
    yield Row("LoRA step on nano, 30 s", "≤ 0.77 of the other", *with_other(spent), unit="s")


def step_sec(checkout: Path, folder: Path) -> float:
    known = run(checkout, "train", "--help")
    later = [part for option, value in LATER.items() if option in known for part in (option, value)]
    clips = checkout / "heartmula_studio" / "assets" / "clips" / "style"
    run(checkout, "train", str(clips), "--out", str(folder), *LORA, *later)
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return median([line["step_sec"] for line in lines if line.get("event") == "step"][1:])


def style_rows(plan: Plan) -> Iterator[Row]:
    """Another style on a loaded nano, in this process, and how much longer the next song takes than the one after."""
    from benchmarks.switching import switch_times

    switching, catching_up = zip(*switch_times(SWITCHES * plan.starts), strict=True)
    yield Row("a style switched on the loaded nano", "≤ 50 ms", 1000 * median(switching), unit="ms")
    yield Row("what the first song takes longer for it", "", 1000 * median(catching_up), unit="ms")


def page_rows(plan: Plan) -> Iterator[Row]:
    """The page in a browser that has seen nothing yet, and what an open one asks for while nothing happens."""
    from benchmarks.page import chromium

    with chromium() as browser, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        studios = [stack.enter_context(running_studio(folder / str(i), c)) for i, c in enumerate(plan.checkouts)]
        kinds = components_of(studios[0])
        bare, _ = stack.enter_context(bare_page(kinds, folder))
        urls = [*(studio.url for studio in studios), bare]
        visits = [[look(browser, url) for url in urls] for _ in range(1 + plan.starts)][1:]
    names = (
        "page ready",
        "requests until it is quiet",
        f"requests in {IDLE_SEC:g} s while nothing happens",
        "requests of a browser that comes again",
    )
    targets, units = ("≤ 1.3 of bare", "< 60", "0", "< 60"), ("s", "", "", "")
    for number, (name, target, unit) in enumerate(zip(names, targets, units, strict=True)):
        *ours, least = [median(visit[place][number] for visit in visits) for place in range(len(urls))]
        yield Row(name, target, *with_other(ours), least, unit)


def look(browser: object, url: str) -> tuple[float, float, float, float]:
    """Seconds until the main button can be pressed, requests, requests afterwards, and those of another visit."""
    from benchmarks.page import Traffic, closing_page, visit

    with closing_page(browser) as page:
        seen = visit(page, url)
        traffic = Traffic(page)
        page.wait_for_timeout(1000 * IDLE_SEC)
        return seen.seconds, seen.requests, traffic.requests, visit(page, url).requests


def components_of(studio: StudioProcess) -> dict[str, int]:
    """How many components of each kind a browser is sent."""
    config = httpx.get(f"{studio.url}/config", timeout=60).json()
    on_page = set(config["page"][""]["components"])
    kinds = [part["type"] for part in config["components"] if part["id"] in on_page]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


@contextmanager
def bare_page(kinds: dict[str, int], folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Yield the address and the process of a page of nothing but such components, as soon as it has answered."""
    path = folder / "kinds.json"
    path.write_text(json.dumps(kinds), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.bare_page", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        httpx.get(url, timeout=60).raise_for_status()
        yield url, process
    finally:
        stop(process)


PARTS: dict[str, Callable[[Plan], Iterator[Row]]] = {
    "start": start_rows,
    "reading": reading_rows,
    "page": page_rows,
    "song": song_rows,
    "step": step_rows,
    "style": style_rows,
}

if __name__ == "__main__":
    sys.exit(main())
