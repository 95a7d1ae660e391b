"""Workers on a Ray cluster: each on the node that has room for it, as many at once as there is room for."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from heartmula_studio.device_name import device_kind
from heartmula_studio.errors import ClusterError, InvalidInputError, TrainingError
from heartmula_studio.services.devices import GB, training_need
from heartmula_studio.services.training.executor import WorkerEnd
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.processes import end_worker
from heartmula_studio.services.training.ray_cluster.gpus import gpu_share
from heartmula_studio.services.training.ray_cluster.link import RayLink
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import ExecutorName, Job

PASSED_ON = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE")  # to the nodes; all else is as it is there


@dataclass(frozen=True)
class Need:
    """What a job takes of a node, by Ray's names."""

    CPU: float
    GPU: float
    memory: int  # bytes

    def fits(self, free: Mapping[str, float]) -> bool:
        return all(amount <= free.get(name, 0) for name, amount in asdict(self).items())

    def count_in(self, resources: Mapping[str, float]) -> int:
        """Count how many times a node has it."""
        asked = {name: amount for name, amount in asdict(self).items() if amount}
        return int(min(resources.get(name, 0) // amount for name, amount in asked.items()))

    def times(self, count: int) -> "Need":
        return Need(self.CPU * count, self.GPU * count, self.memory * count)

    def __str__(self) -> str:
        gpu = f"{self.GPU:g} GPU, " if self.GPU else ""
        return f"{gpu}{self.CPU:g} {'core' if self.CPU == 1 else 'cores'} and {self.memory / GB:.1f} GB"


class RayExecutor:
    """An `Executor`. The data folder must be shared: the same path on the server and on all nodes."""

    name: ExecutorName = "ray"

    def __init__(self, address: str, max_song_sec: float = 1200.0):
        self._link, self._max_song_sec = RayLink(address), max_song_sec
        self._needs: dict[str, Need] = {}

    def line_of(self, job: Job) -> str:
        return self.name

    def reason_to_wait(self, job: Job, folder: JobFolder, running: Sequence[Job]) -> str | None:
        """One job at a time is handed over, so that the queue's order is the cluster's; raises as `training_need`."""
        if handed_over := next((other for other in running if other.worker is None), None):
            return f"Waits until the training of {handed_over.dataset_name} has begun on the cluster."
        try:
            cluster = self._link.call("cluster")
        except ClusterError as error:
            return str(error)
        nodes = cluster["nodes"]
        if any(node["gpu_bytes"] is None for node in nodes):
            return "Waits for the nodes of the cluster to say what GPUs they have."
        need = self._needs[job.id] = need_of(job, folder, nodes)
        return what_is_lacking(need, job.processes, nodes, cluster["free"])

    def device_of(self, job: Job) -> str:
        return "cuda" if self._needs[job.id].GPU else "cpu"

    def start(self, job: Job, folder: JobFolder) -> None:
        """Where the cluster is lost in this moment, the job is queued again: nothing of it lives."""
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        arguments = {"job_dir": str(folder.path.resolve()), "device": job.device, "max_song_sec": self._max_song_sec}
        need = self._needs.pop(job.id)
        if job.processes > 1:
            # Ray Train asks for what its processes need; the songs are tokenized on a processor before.
            given = {"ray-address": self._link.address, "processes": job.processes, "memory": need.memory}
            spread = [word for name, value in given.items() for word in (f"--{name}", str(value))]
            arguments, need = arguments | {"device": "cpu", "spread": spread}, Need(0.0, 0.0, 0)
        with suppress(ClusterError):
            self._link.call(
                "start",
                name=runner_name(job),
                resources=asdict(need),
                arguments=arguments | {"environment": environment},
            )

    def is_starting(self, job: Job, folder: JobFolder) -> bool:
        """Tell whether a worker is to be started, or has just ended. Raises ClusterError."""
        state = self._link.call("state", name=runner_name(job))
        if state["refusal"]:
            folder.write_failure(TrainingError(state["refusal"]))
            return False
        return folder.read_exit_code() is None and bool(state["lives"])

    def has_started(self, job: Job, folder: JobFolder) -> bool:
        return folder.read_exit_code() is not None or folder.read_failure() is not None

    def end_of(self, job: Job, folder: JobFolder) -> WorkerEnd:
        exit_code = folder.read_exit_code()
        return WorkerEnd(exit_code, is_lost=exit_code is None and folder.read_failure() is None)

    def kill(self, job: Job, folder: JobFolder) -> None:
        """Raises ClusterError where the cluster cannot be asked, ConflictError where a process lives on."""
        self._link.call("kill", name=runner_name(job))
        end_worker(folder, job.worker)

    def forget(self, job: Job) -> None:
        with suppress(ClusterError):  # it ends by itself; this is for one whose worker never began
            self._link.call("end", name=runner_name(job))

    def close(self) -> None:
        self._link.close()


def cluster_of(settings: Settings) -> RayExecutor | None:
    """Return the cluster that trainings run on by the settings; None where they run on this machine.

    Raises InvalidInputError where Ray is not installed, or the settings contradict each other.
    """
    if settings.executor == "local":
        return None
    if find_spec("ray") is None:
        raise InvalidInputError(
            "The executor is ray, but Ray is not installed.", "Install it with: pip install 'heartmula-studio[ray]'"
        )
    if settings.ray_address is None:
        raise InvalidInputError(
            "The executor is ray, but no ray_address says where the cluster is.",
            "Set HEARTMULA_RAY_ADDRESS to host:port of its head node.",
        )
    if settings.accelerate_config:
        raise InvalidInputError(
            "An accelerate_config says how to spread trainings over machines, and the executor is ray, too.",
            "Leave out one of them.",
        )
    return RayExecutor(settings.ray_address, settings.max_song_sec)


def what_is_lacking(
    need: Need, processes: int, nodes: Sequence[Mapping[str, Any]], free: Mapping[str, float]
) -> str | None:
    """Say what processes of this need wait for; None where there is room for all of them."""
    rooms = sum(need.count_in(node["resources"]) for node in nodes)
    if not rooms:
        return f"Waits for a node to join the cluster: it needs {need}, which none of {len(nodes)} has."
    if rooms < processes:
        return f"Waits for more nodes to join the cluster: it has room for {rooms} of {processes} processes."
    needed = need.times(processes)
    return None if needed.fits(free) else f"Waits for {needed} to be free on the cluster."


def runner_name(job: Job) -> str:
    """Name what runs this attempt at a job."""
    return f"{job.id} {job.started_at}"


def need_of(job: Job, folder: JobFolder, nodes: Sequence[Mapping[str, Any]]) -> Need:
    """Return what to ask the cluster for: a share of a GPU where any node has one, memory by the estimate.

    As many cores as OMP_NUM_THREADS says, one where it says nothing. Of several processes, that of each, which has a
    GPU to itself. Raises as `training_need`.
    """
    cores = float(os.environ.get("OMP_NUM_THREADS") or 1)
    gpus = [node["gpu_bytes"] for node in nodes if node["resources"].get("GPU")]
    if not gpus:
        return Need(cores, 0.0, training_need(job.config, folder.path, "cpu"))
    on_gpu = training_need(job.config, folder.path, job.device if device_kind(job.device) == "cuda" else "cuda")
    return Need(cores, gpu_share(on_gpu, min(gpus)) if job.processes == 1 else 1.0, 0)
