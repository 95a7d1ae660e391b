"""Measures REST on a dataset of very many tracks: `python -m benchmarks.large_dataset`. Prints Markdown."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.report import load_average, machine, table
from benchmarks.studio_process import StudioProcess, running_studio
from benchmarks.tracks import fill

TIMES = 40
EDITS = 100  # of tracks in one request
STRIDE = 7919  # from one track that is edited to the next, all over the dataset
PAGE = 200
MOST_SEC = 30.0  # for each kind of call
TIMEOUT_SEC = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=50_000, help="in the dataset (default: %(default)s)")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "data", parsed.tracks)
        with running_studio(Path(folder) / "data") as studio, httpx.Client(base_url=studio.url) as client:
            client.timeout = TIMEOUT_SEC
            print(f"{machine()} Load average before: {load_average()}.\n")
            heads = (f"{parsed.tracks:,} tracks", "times", "first (ms)", "p50 (ms)", "p95 (ms)", "of a core, each (ms)")
            print(table(heads, list(rows(calls(client, parsed.tracks), studio))))
            print(f"\nThe server then takes {studio.memory_mib():,.0f} MiB. Load average after: {load_average()}.")


def calls(client: httpx.Client, count: int) -> Iterator[tuple[str, list[float]]]:
    """Yield what was asked, and how many milliseconds each answer took."""
    (dataset,) = fetch(client, "/training/datasets")
    path = f"/training/datasets/{dataset['id']}"
    reads = {
        "list all datasets": "/training/datasets",
        "one dataset": path,
        "a page": f"{path}/tracks?limit={PAGE}",
        "a page, filtered by words": f"{path}/tracks?limit={PAGE}&q=line+{count // 2}",
        "a page, filtered by kind": f"{path}/tracks?limit={PAGE}&show=tags",
        "a page, sorted": f"{path}/tracks?limit={PAGE}&order=name",
        "validate": f"{path}/validate",
    }
    there = {what: url for what, url in reads.items() if is_there(client, url)}
    for what, url in there.items():
        yield what, list(timed(lambda number, url=url: fetch(client, url)))
    yield "edit one track", list(timed(lambda number: edit(client, path, number, 1, count)))
    yield f"edit {EDITS} tracks at once", list(timed(lambda number: edit(client, path, number, EDITS, count)))
    yield (
        "edit one track, and fetch its dataset",
        list(timed(lambda number: edit_and_fetch(client, path, number, count))),
    )


def is_there(client: httpx.Client, url: str) -> bool:
    with client.stream("GET", url) as answer:
        return answer.status_code not in (404, 405)


def timed(ask: Callable[[int], object]) -> Iterator[float]:
    end = time.perf_counter() + MOST_SEC
    for number in range(TIMES):
        began = time.perf_counter()
        ask(number)
        yield (time.perf_counter() - began) * 1000
        if time.perf_counter() > end:
            return


def fetch(client: httpx.Client, url: str) -> list[dict]:
    return client.get(url).raise_for_status().json()


def edit(client: httpx.Client, path: str, number: int, how_many: int, count: int) -> None:
    places = [(number * how_many + place) * STRIDE % count for place in range(how_many)]
    changes = [{"filename": f"track {place:03d}.wav", "tags": [f"edit {number}"]} for place in places]
    client.put(f"{path}/tracks", json={"tracks": changes}).raise_for_status()


def edit_and_fetch(client: httpx.Client, path: str, number: int, count: int) -> None:
    edit(client, path, number + TIMES, 1, count)
    fetch(client, path)


def rows(calls: Iterator[tuple[str, list[float]]], studio: StudioProcess) -> Iterator[tuple[str, ...]]:
    """Yield a row for each kind of call, with what it took of the server's cores: that says more where others work."""
    before = busy_ms(studio)
    for what, times_ms in calls:
        after, (p50, p95) = busy_ms(studio), np.percentile(times_ms, (50, 95))
        figures = (times_ms[0], p50, p95, (after - before) / len(times_ms))
        yield what, str(len(times_ms)), *(f"{figure:.0f}" for figure in figures)
        before = busy_ms(studio)


def busy_ms(studio: StudioProcess) -> float:
    times = psutil.Process(studio.process.pid).cpu_times()
    return 1000 * (times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
