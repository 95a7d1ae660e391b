"""`python -m heartmula_studio.services.training.ray_cluster.driver ADDRESS`: a process that is connected to a cluster.

Ray ends a process that has lost its cluster; the server must not be that process. It answers one line of JSON with
another, the first one unasked once it is connected. Runners are detached from it: they outlive it, and the next one
finds them by their names.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from heartmula_studio.services.ray_address import require_listener
from heartmula_studio.services.training.ray_cluster.gpus import smallest_gpu_bytes
from heartmula_studio.services.training.ray_cluster.runner import WorkerRunner

NAMESPACE = "heartmula-studio"
KILL_SEC = 20.0


class Driver:
    """Answers requests by their name. None of them waits for the cluster, but for `kill`."""

    calls: tuple[str, ...] = ("cluster", "start", "state", "kill", "end")

    def __init__(self, address: str):
        """Raises OSError."""
        require_listener(address)
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
        self._questions: dict[str, Any] = {}  # what a runner was asked and has not answered yet
        self._gpu_bytes: dict[str, Any] = {}  # by node: the memory of its smallest GPU, or the question for it

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {name: value for name, value in request.items() if name != "call"}
        if request["call"] not in self.calls:
            raise ValueError(f"Nobody answers {request['call']!r}.")
        answer: dict[str, Any] = getattr(self, request["call"])(**arguments)
        return answer

    def cluster(self) -> dict[str, Any]:
        """Return what the nodes have, the memory of each one's smallest GPU (None: not known yet), and what is free."""
        nodes = [
            {"resources": node["Resources"], "gpu_bytes": self._gpu_bytes_of(node)}
            for node in ray.nodes()
            if node["Alive"]
        ]
        return {"nodes": nodes, "free": ray.available_resources()}

    def start(self, name: str, resources: Mapping[str, float], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Have a runner started as soon as the resources are free; one that needs none, on a node for trainings."""
        runner = ray.remote(WorkerRunner).options(
            name=name,
            lifetime="detached",
            max_concurrency=2,
            num_cpus=resources["CPU"],
            num_gpus=resources["GPU"],
            memory=resources["memory"],
            scheduling_strategy="DEFAULT" if resources["CPU"] else largest_node(),
        )
        runner.remote(**arguments)
        return {}

    def state(self, name: str) -> dict[str, Any]:
        """Return whether a runner lives or is about to, and why it could not start its worker."""
        runner = self._runner(name)
        question = self._questions.pop(name, None) or (runner and runner.refusal.remote())
        if question is None:
            return {"lives": False, "refusal": ""}
        if not ray.wait([question], timeout=0)[0]:
            self._questions[name] = question
            return {"lives": True, "refusal": ""}
        try:
            return {"lives": True, "refusal": ray.get(question)}
        except ActorUnavailableError:  # it is not known yet whether its node is lost
            return {"lives": True, "refusal": ""}
        except RayActorError:
            return {"lives": False, "refusal": ""}

    def kill(self, name: str) -> dict[str, Any]:
        """End the worker of a runner, and the runner."""
        if runner := self._runner(name):
            with suppress(RayActorError, GetTimeoutError):
                ray.get(runner.kill.remote(), timeout=KILL_SEC)
        return self.end(name)

    def end(self, name: str) -> dict[str, Any]:
        self._questions.pop(name, None)
        if runner := self._runner(name):
            ray.kill(runner)
        return {}

    def close(self) -> None:
        """The server is gone. Runners go on."""

    def _runner(self, name: str) -> "ActorHandle | None":
        try:
            return ray.get_actor(name, NAMESPACE)
        except ValueError:  # there is none, or it is no more
            return None

    def _gpu_bytes_of(self, node: Mapping[str, Any]) -> int | None:
        """Ask a node once; None until it has answered."""
        if not node["Resources"].get("GPU"):
            return 0
        id = node["NodeID"]
        if id not in self._gpu_bytes:
            on_node = NodeAffinitySchedulingStrategy(id, soft=False)
            self._gpu_bytes[id] = (
                ray.remote(smallest_gpu_bytes).options(num_cpus=0, scheduling_strategy=on_node).remote()
            )
        asked = self._gpu_bytes[id]
        if not isinstance(asked, int) and ray.wait([asked], timeout=0)[0]:
            self._gpu_bytes[id] = asked = ray.get(asked)
        return asked if isinstance(asked, int) else None


def largest_node() -> NodeAffinitySchedulingStrategy:
    """The node with the most cores, rather than a head that was given none."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    most = max(nodes, key=lambda node: node["Resources"].get("CPU", 0.0))
    return NodeAffinitySchedulingStrategy(most["NodeID"], soft=True)


def own_pipes() -> tuple[TextIO, TextIO]:
    """Return where requests come from and answers go to; whatever Ray prints must not be taken for an answer."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return sys.stdin, answers


def run(address: str, requests: TextIO, answers: TextIO, make_driver: Callable[[str], Driver]) -> int:
    """Connect to a cluster, and answer requests until there are no more; return the exit code."""

    def say(answer: Mapping[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        driver = make_driver(address)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        say({"error": str(error)})
        return 1
    say({})
    for line in requests:
        try:
            say(driver.answer(json.loads(line)))
        except (RayError, ConnectionError, ValueError, RuntimeError) as error:
            say({"error": str(error)})
    driver.close()
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], *own_pipes(), Driver))
