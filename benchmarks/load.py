"""Many clients at once, each of which asks again as soon as it is answered."""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.calls import Call

REQUEST_SEC = 60
Names = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True)
class Bounds:
    """No request begins after this many, or this late; those under way are waited for."""

    clients: int
    requests: int
    seconds: float


@dataclass(frozen=True)
class Answer:
    seconds: float
    status: int
    num_bytes: int


@dataclass(frozen=True)
class Measured:
    call: Call
    answers: tuple[Answer, ...]
    seconds: float

    def percentile_ms(self, percent: float) -> float:
        """The smallest time that this share of all requests did not exceed."""
        ordered = sorted(answer.seconds for answer in self.answers)
        return 1000 * ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]

    def per_second(self) -> float:
        return len(self.answers) / self.seconds

    def largest_kb(self) -> float:
        return max(answer.num_bytes for answer in self.answers) / 1000

    def failures(self) -> int:
        return sum(not 200 <= answer.status < 300 for answer in self.answers)


def measure(url: str, calls: Sequence[Call], names: Names, bounds: Bounds) -> list[Measured]:
    """Measure one call after the other."""
    return asyncio.run(_measure(url, calls, names, bounds))


async def _measure(url: str, calls: Sequence[Call], names: Names, bounds: Bounds) -> list[Measured]:
    limits = httpx.Limits(max_connections=bounds.clients, max_keepalive_connections=bounds.clients)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=REQUEST_SEC, trust_env=False) as client:
        return [await _measure_call(client, call, names, bounds) for call in calls]


async def _measure_call(client: httpx.AsyncClient, call: Call, names: Names, bounds: Bounds) -> Measured:
    numbers = itertools.islice(itertools.count(), bounds.requests)
    began = time.perf_counter()

    async def one_client() -> list[Answer]:
        answers = []
        while time.perf_counter() - began < bounds.seconds and (number := next(numbers, None)) is not None:
            answers.append(await _ask(client, call, names, number))
        return answers

    found = await asyncio.gather(*(one_client() for _ in range(bounds.clients)))
    return Measured(call, tuple(itertools.chain(*found)), time.perf_counter() - began)


async def _ask(client: httpx.AsyncClient, call: Call, names: Names, number: int) -> Answer:
    path, body = call.path.format(**names(number)), call.body and call.body(number)
    began, num_bytes = time.perf_counter(), 0
    async with client.stream(call.method, path, json=body) as response:
        async for piece in response.aiter_raw():
            num_bytes += len(piece)
            if call.is_endless:
                break
    return Answer(time.perf_counter() - began, response.status_code, num_bytes)
