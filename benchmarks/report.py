"""Results as Markdown, with what they were measured on."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import psutil
import torch

from benchmarks.load import Measured
from benchmarks.starting import Starts
from benchmarks.studio_process import MIB

SERVER_LIBRARIES = ("fastapi", "uvicorn", "pydantic", "gradio", "torch", "httpx")


def machine(libraries: Sequence[str] = SERVER_LIBRARIES) -> str:
    """Cores, memory and versions, in one sentence."""
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{len(os.sched_getaffinity(0))} cores ({cpu_name()}), {psutil.virtual_memory().total / MIB / 1024:.0f} GiB; "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}; "
        f"OMP_NUM_THREADS {threads}; {datetime.now(UTC):%Y-%m-%d}."
    )


def cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def gpu_peak_mib(device: torch.device) -> float:
    """The most that tensors took of a GPU, and what its driver takes."""
    free, total = torch.cuda.mem_get_info(device)
    driver = total - free - torch.cuda.memory_reserved(device)
    return (torch.cuda.max_memory_allocated(device) + driver) / MIB


def load_average() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def starts_table(starts: Sequence[Starts]) -> str:
    rows = [(one.what, f"{one.seconds():.1f}", f"{one.memory_mib():.0f}") for one in starts]
    return table(("`python app.py` to the first answer", "seconds", "RSS then (MiB)"), rows)


def calls_table(title: str, measured: Sequence[Measured]) -> str:
    rows = [
        (
            f"`{one.call.label}`",
            str(len(one.answers)),
            f"{one.percentile_ms(50):.0f}",
            f"{one.percentile_ms(95):.0f}",
            f"{one.per_second():.0f}",
            f"{one.largest_kb():,.1f}",
            str(one.failures()),
        )
        for one in measured
    ]
    return table((title, "requests", "p50 (ms)", "p95 (ms)", "per second", "kB", "failed"), rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line = "|---|" + "---:|" * (len(heads) - 1)
    return "\n".join([f"| {' | '.join(heads)} |", line, *(f"| {' | '.join(row)} |" for row in rows)])
