"""The REST calls that are measured: all that read, and those that write a few bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.filling import Filled
from benchmarks.training import Training


@dataclass(frozen=True)
class Call:
    """`path` has names in braces for what differs between requests; `body` makes the JSON from a request's number.

    `is_endless`: the answer is a stream, measured up to its first event.
    """

    method: str
    path: str
    body: Callable[[int], Any] | None = None
    is_endless: bool = False

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"


LISTS = (Call("GET", "/training/datasets"), Call("GET", "/training/jobs"))
READS = (
    Call("GET", "/health"),
    Call("GET", "/training/datasets/{dataset}"),
    Call("GET", "/training/datasets/{dataset}/validate"),
    Call("GET", "/training/datasets/{trained_on}/audio/{song}"),
    Call("GET", "/training/jobs/{job}"),
    Call("GET", "/training/jobs/{running_job}"),
    Call("GET", "/training/jobs/{running_job}/logs"),
    Call("GET", "/training/jobs/{running_job}/metrics"),
    Call("GET", "/training/jobs/{running_job}/events", is_endless=True),
    Call("GET", "/training/checkpoints"),
    Call("GET", "/training/checkpoints/{checkpoint}"),
    Call("GET", "/training/checkpoints/{checkpoint}/download"),
    Call("GET", "/generate"),
    Call("GET", "/generate/{generation}"),
    Call("GET", "/generate/{generation}/audio"),
    Call("GET", "/styles"),
)
# In this order: what the last one deletes is measured before.
WRITES = (
    Call("POST", "/training/datasets", lambda number: {"name": f"New {number}", "styles": ["Pop"]}),
    Call("PUT", "/training/datasets/{dataset}", lambda number: {"name": f"Renamed {number}"}),
    Call("PUT", "/training/datasets/{dataset}/audio/song 0.ogg", lambda number: {"caption": f"Verse {number}"}),
    Call("DELETE", "/styles/custom/style {number}"),
    Call("POST", "/styles/custom", lambda number: {"name": f"new style {number}"}),
    Call("DELETE", "/training/jobs/{job}"),
    Call("DELETE", "/training/datasets/{dataset}"),
)


def names_for(filled: Filled, training: Training) -> Callable[[int], Mapping[str, Any]]:
    """What stands for the names in the paths, in the request of a number."""

    def names(number: int) -> dict[str, Any]:
        return {
            "number": number,
            "dataset": one_of(filled.datasets, number),
            "job": one_of(filled.jobs, number),
            "checkpoint": one_of(filled.checkpoints, number),
            "generation": one_of(filled.generations, number),
            "running_job": training.job,
            "trained_on": training.dataset,
            "song": training.song,
        }

    return names


def one_of(ids: tuple[str, ...], number: int) -> str:
    return ids[number % len(ids)]
