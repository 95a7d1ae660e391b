"""Measures a server of its own, on loopback: `python -m benchmarks.server`. Prints Markdown; under three minutes."""

import argparse
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks.calls import LISTS, READS, WRITES, names_for
from benchmarks.filling import Amounts, Filled, fill
from benchmarks.load import Bounds, measure
from benchmarks.report import calls_table, load_average, machine, starts_table
from benchmarks.starting import Starts, list_datasets, measure_starts, start, talking_to
from benchmarks.studio_process import StudioProcess, running_studio
from benchmarks.training import Training, steps_done, training, wait_for_first_step

MAX_SEC = 165  # ending what runs may take a quarter of a minute more
LIST_REQUESTS = 10


@dataclass(frozen=True)
class Plan:
    """How much is measured. `requests` and `seconds` bound each call, whichever comes first.

    `only` is a regular expression for the calls, as they are shown, of many clients.
    """

    datasets: int
    jobs: int
    clients: int
    requests: int
    seconds: float
    starts: int
    only: str

    @property
    def many(self) -> Bounds:
        # No more requests than records, since each of them is deleted once.
        return Bounds(self.clients, min(self.requests, self.datasets, self.jobs), self.seconds)

    @property
    def alone(self) -> Bounds:
        return Bounds(1, LIST_REQUESTS, self.seconds)


def main() -> None:
    plan = parse_plan()
    signal.signal(signal.SIGALRM, too_late)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers and the job are stopped then, too
    signal.alarm(MAX_SEC)
    print(f"{machine()} Load average before: {load_average()}.\n")
    for part in parts(plan):
        print(part, end="\n\n", flush=True)
    print(f"Load average after: {load_average()}.")


def parse_plan() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=200, help="most requests to a call")
    parser.add_argument("--seconds", type=float, default=1.5, help="longest time that requests to a call begin")
    parser.add_argument(
        "--starts", type=int, default=2, help="servers started for each kind of first answer; 0 leaves it out"
    )
    parser.add_argument("--only", default="", help="many clients send only calls that this pattern finds")
    return Plan(**vars(parser.parse_args()))


def too_late(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"The benchmark took over {MAX_SEC} s; ask for less of it.")


def note(what: str) -> None:
    """Progress, apart from the results."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)


def parts(plan: Plan) -> Iterator[str]:
    """Each table as soon as it is known."""
    if plan.starts:
        note("starts servers on small folders")
        yield starts_table(measure_starts(plan.starts))
    note("starts the server for all else")
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        with running_studio(data_dir) as studio, talking_to(studio) as client:
            list_datasets(client)
            yield f"An idle server, all loaded, holds {studio.idle_memory_mib():.0f} MiB (RSS)."
            with training(client, data_dir) as job:
                note("fills the data folder while the job starts")
                filled = fill(data_dir, Amounts(plan.datasets, plan.jobs, plan.many.requests), job.job)
                wait_for_first_step(client, job.job)
                note("the job trains; measures calls")
                yield from parts_under_load(plan, studio, client, job, filled)
        note("starts a server on the full folder")
        what = f"store only, on about {plan.datasets:,} datasets and {plan.jobs:,} jobs"
        yield starts_table([Starts(what, (start(data_dir, list_datasets),))])


def parts_under_load(
    plan: Plan, studio: StudioProcess, client: httpx.Client, job: Training, filled: Filled
) -> Iterator[str]:
    names = names_for(filled, job)
    first_step, began = steps_done(client, job.job), time.monotonic()
    first = measure(studio.url, LISTS, names, replace(plan.alone, requests=1))
    yield calls_table("One client, first time", first)
    yield calls_table("One client, again", measure(studio.url, LISTS, names, plan.alone))
    for group in (LISTS, READS, WRITES):
        if calls := [call for call in group if re.search(plan.only, call.label)]:
            yield calls_table(f"{plan.clients} clients", measure(studio.url, calls, names, plan.many))
    steps = steps_done(client, job.job) - first_step
    yield (
        f"Meanwhile the job did {steps} steps in {time.monotonic() - began:.0f} s. "
        f"The server held {studio.memory_mib():.0f} MiB afterwards."
    )


if __name__ == "__main__":
    sys.exit(main())
