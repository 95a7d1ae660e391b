"""A Ray cluster on this machine for tests: each node is a `ray start --block`, with all its processes below it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
QUIET = ["--disable-usage-stats", "--include-log-monitor=false", "--object-store-memory=80000000"]
PATIENT = {"RAY_agent_register_timeout_ms": "300000"}  # with a busy machine: else nodes give up within 15 s
ATTEMPTS = 4


@dataclass(frozen=True)
class Node:
    process: psutil.Process

    @classmethod
    def start(cls, folder: Path, number: int, *options: str) -> "Node":
        """Start node `number` of the cluster in a folder, counted from 1, and wait until it runs.

        A node gives up where its agent takes longer than 20 s to start, as it may beside other tests.
        """
        command = [*RAY, *QUIET, *options]
        variables = os.environ | PATIENT | {"RAY_USAGE_STATS_ENABLED": "0"}
        for _ in range(ATTEMPTS):
            started = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while started.poll() is None:
                if len(list(folder.glob("session_latest/dashboard_agent_listen_port_*"))) >= number:
                    return cls(psutil.Process(started.pid))
                time.sleep(0.2)
        raise AssertionError(f"node {number} of the cluster does not start")

    def runs(self, pid: int) -> bool:
        """Tell whether a process is one of this node's."""
        return self.process in psutil.Process(pid).parents()

    def kill(self) -> None:
        """End the node as a power cut does: all its processes at once."""
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait()


class Cluster:
    """A head that takes no work, and nodes of one core each, the newest last."""

    def __init__(self, folder: Path):
        self._folder, port = folder, free_port()
        self.address = f"127.0.0.1:{port}"
        options = [f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false"]
        self._nodes = [Node.start(folder, 1, "--head", "--num-cpus=0", *options)]

    @property
    def workers(self) -> list[Node]:
        return [node for node in self._nodes[1:] if node.process.is_running()]

    def add_worker(self) -> None:
        number = len(self._nodes) + 1
        resources = f'--resources={{"node{number}": 1}}'
        self._nodes.append(Node.start(self._folder, number, f"--address={self.address}", "--num-cpus=1", resources))

    def stop(self) -> None:
        for node in reversed(self._nodes):
            with suppress(psutil.NoSuchProcess):
                node.kill()


@contextmanager
def running_cluster(num_workers: int) -> Iterator[Cluster]:
    # Sockets lie in it, whose paths may be 107 characters long.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    try:
        cluster = Cluster(folder)
        try:
            for _ in range(num_workers):
                cluster.add_worker()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
