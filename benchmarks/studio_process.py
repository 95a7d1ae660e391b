"""A server of our own: `python app.py` on a free loopback port, stopped by its process id."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
MIB = 2**20
STOP_SEC = 15
SETTLE_SEC = 12
STILL_SEC = 2


@dataclass(frozen=True)
class StudioProcess:
    """`began` is when its command was started, on the clock of `time.perf_counter`."""

    url: str
    process: subprocess.Popen
    began: float

    def age_sec(self) -> float:
        return time.perf_counter() - self.began

    def memory_mib(self) -> float:
        """Resident memory, shared libraries included."""
        return psutil.Process(self.process.pid).memory_info().rss / MIB

    def idle_memory_mib(self) -> float:
        """Resident memory once it no longer grows: the model code is loaded in the background."""
        deadline, before, now = time.monotonic() + SETTLE_SEC, 0.0, self.memory_mib()
        while now > before + 1 and time.monotonic() < deadline:
            time.sleep(STILL_SEC)
            before, now = now, self.memory_mib()
        return now


@contextmanager
def running_studio(data_dir: Path, checkout: Path = ROOT) -> Iterator[StudioProcess]:
    """Yield the server of a checkout as soon as it says its address; a request is answered once it is ready."""
    command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", "0"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=checkout, env=environment(data_dir), stdout=subprocess.PIPE, text=True)
    try:
        yield StudioProcess(address_in(process.stdout.readline()), process, began)
    finally:
        stop(process)


def environment(data_dir: Path) -> dict[str, str]:
    """The bundled base on the CPU; no settings of the person who runs this, and no network."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEARTMULA_", "GRADIO_"))}
    return inherited | {
        "HEARTMULA_DATA_DIR": str(data_dir),
        "HEARTMULA_BASE_MODEL": "nano",
        "HEARTMULA_DEVICE": "cpu",
        "GRADIO_TEMP_DIR": str(data_dir.with_name(f"{data_dir.name}-gradio")),
        "HF_HUB_OFFLINE": "1",
    }


def address_in(line: str) -> str:
    match = re.search(r"http://127\.0\.0\.1:\d+", line)
    if match is None:
        raise RuntimeError(f"The server did not start; it said {line!r}.")
    return match[0]


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
