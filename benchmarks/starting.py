"""How long a server takes to its first answer, and what it holds in memory then."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from benchmarks.filling import add_dataset
from benchmarks.studio_process import StudioProcess, running_studio
from benchmarks.training import SONGS, answer, upload
from heartmula_studio.store import Store

ANSWER_SEC = 300  # the first that needs the model code may wait for it, on a busy machine


@dataclass(frozen=True)
class Start:
    """Seconds to the first answer, and resident memory at that moment."""

    seconds: float
    memory_mib: float


@dataclass(frozen=True)
class Starts:
    what: str
    starts: tuple[Start, ...]

    def seconds(self) -> float:
        return median(start.seconds for start in self.starts)

    def memory_mib(self) -> float:
        return median(start.memory_mib for start in self.starts)


def measure_starts(times: int) -> list[Starts]:
    """Start servers on small data folders, for a call that needs only the store, and one that needs the model code."""
    what = {"store only: `GET /training/datasets`": list_datasets, "model code: first upload of a song": upload_song}
    return [Starts(name, tuple(first_start(ask) for _ in range(times))) for name, ask in what.items()]


def first_start(ask: Callable[[httpx.Client, str], None]) -> Start:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        dataset = add_dataset(Store(data_dir))
        return start(data_dir, lambda client: ask(client, dataset))


def start(data_dir: Path, ask: Callable[[httpx.Client], None]) -> Start:
    """Time from the command to the answer."""
    with running_studio(data_dir) as studio, talking_to(studio) as client:
        ask(client)
        return Start(studio.age_sec(), studio.memory_mib())


@contextmanager
def talking_to(studio: StudioProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=studio.url, timeout=ANSWER_SEC, trust_env=False) as client:
        yield client


def list_datasets(client: httpx.Client, _dataset: str = "") -> None:
    answer(client.get("/training/datasets"))


def upload_song(client: httpx.Client, dataset: str) -> None:
    upload(client, dataset, SONGS[0])
