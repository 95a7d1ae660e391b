"""Where and when a job runs, apart from what it computes: its priority, its owner, and over how many processes."""

from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition, settings_of
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.services.owners import CALLER
from heartmula_studio.store.field_types import MAX_OWNER_CHARS, MAX_PRIORITY
from heartmula_studio.store.records import ExecutorName, Job

MAX_PROCESSES = 1024


@dataclass(frozen=True)
class Placement(Definition):
    """How urgent a job is, whom it is for, and what it is spread over. Raises InvalidInputError outside the limits."""

    priority: Annotated[
        int,
        Field(
            ge=-MAX_PRIORITY,
            le=MAX_PRIORITY,
            description="Jobs with a higher priority start first; 0 if left out.",
            examples=[0],
        ),
    ] = 0
    owner: Annotated[
        str,
        Field(
            max_length=MAX_OWNER_CHARS,
            description="The person the job is for. Among jobs of the same priority, owners take turns.",
            examples=["maria"],
        ),
    ] = ""
    processes: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_PROCESSES,
            description="Processes that train together over the nodes of a Ray cluster, each with a GPU or core of its "
            "own. Each step learns from so many times as many windows.",
            examples=[None],
        ),
    ] = 1

    def require_executor(self, executor: ExecutorName) -> None:
        """Raise InvalidInputError for several processes where there is no cluster to start them on."""
        if self.processes > 1 and executor != "ray":
            raise InvalidInputError(
                f"processes is {self.processes}, but trainings of this server run on its own machine.",
                "Leave it out. Several GPUs of this machine are used with HEARTMULA_ACCELERATE_CONFIG, the nodes of a "
                "Ray cluster with HEARTMULA_EXECUTOR=ray.",
            )


PLACEMENT = settings_of(Placement)


def take_placement(values: dict[str, Any], job: Job | None = None) -> Placement:
    """Take what is said of a job's placement out of `values`; the rest is that of another job, where there is one.

    Whoever has a token of their own is the owner. Raises InvalidInputError.
    """
    known = {name: getattr(job, name) for name in PLACEMENT} if job else {}
    said = known | {name: values.pop(name) for name in PLACEMENT if name in values}
    return Placement(**said | ({"owner": caller} if (caller := CALLER.get()) else {}))
