"""Reading calls under the load of 50 clients (wrk), beside a bare FastAPI that returns the same bytes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from benchmarks.studio_process import ROOT, stop

CLIENTS, ROUNDS = 50, 2
UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
LISTS = {"datasets": "/training/datasets", "jobs": "/training/jobs", "checkpoints": "/training/checkpoints"}
READS = ("/health", *LISTS.values(), "/styles", "/generate")
PAGED = "?limit=50"


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers a second, and how long they took."""

    per_second: float
    p50_ms: float
    p99_ms: float


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def load(url: str, seconds: float) -> Load:
    """Raises RuntimeError where an answer is no success, or none comes."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds:g}s", "--timeout", "30s", "--latency", url]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{url}: {said}")
    if " 0 requests in" in said:
        raise RuntimeError(f"{url}: no answer within {seconds:g} s. Ask for longer with --seconds.")
    p50, p99 = (milliseconds(re.search(rf"^ +{percent}%\s+(\S+)", said, re.MULTILINE)[1]) for percent in (50, 99))
    return Load(float(re.search(r"Requests/sec:\s+(\S+)", said)[1]), p50, p99)


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * UNITS_MS[unit]


def calls(client: httpx.Client, has_pages: bool) -> Iterator[str]:
    """The calls that are measured: lists, whole and by pages, and one record of each kind."""
    yield from READS
    if has_pages:
        yield from (path + PAGED for path in LISTS.values())
    for path in LISTS.values():
        yield f"{path}/{client.get(path).json()[0]['id']}"


def compare(urls: Sequence[str], paths: Sequence[str], seconds: float) -> dict[str, list[float]]:
    """Answers a second of each path, from each server by turns: the median of the rounds."""
    rounds = [{path: [load(url + path, seconds).per_second for url in urls] for path in paths} for _ in range(ROUNDS)]
    return {path: [median(one[path][place] for one in rounds) for place in range(len(urls))] for path in paths}


@contextmanager
def bare_server(client: httpx.Client, paths: Sequence[str], folder: Path) -> Iterator[str]:
    """Yield the address of a FastAPI that answers these paths with the bytes of the server of `client`."""
    folder.mkdir()
    names = {}
    for number, path in enumerate(paths):
        names[path] = f"{number}.json"
        (folder / names[path]).write_bytes(client.get(path).raise_for_status().content)
    (folder / "paths.json").write_text(json.dumps(names), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.bare_server", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        stop(process)
