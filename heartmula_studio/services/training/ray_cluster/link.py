"""The server's side of the process that is connected to a Ray cluster: started when needed, and anew after it ended."""

import json
import queue
import subprocess
import sys
import threading
import time
from typing import Any

from heartmula_studio.errors import ClusterError
from heartmula_studio.services.training.processes import IMPORT_ROOT

DRIVER = "heartmula_studio.services.training.ray_cluster.driver"
ANSWER_SEC = 30.0
RETRY_SEC = 10.0
MAX_SAID_CHARS = 300
HINT = "See that `ray status --address` finds it from this machine, and that HEARTMULA_RAY_ADDRESS says where it is."


class RayLink:
    """Asks a cluster at an address (host:port). Used by one thread at a time."""

    def __init__(self, address: str, driver: str = DRIVER):
        """driver: the module that is run as the process."""
        self.address, self._driver = address, driver
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._is_connected = False
        self._started = 0.0
        self._trouble = ""

    def call(self, request: str, /, **arguments: Any) -> dict[str, Any]:
        """Ask, and return the answer. Raises ClusterError, at once while the connection is made."""
        process = self._connected()
        assert process.stdin is not None, "it was opened with a pipe"
        try:
            process.stdin.write(json.dumps({"call": request, **arguments}) + "\n")
            process.stdin.flush()
        except OSError:
            self._drop()
            raise self._error("It has ended the connection.") from None
        return self._read(ANSWER_SEC)

    def close(self) -> None:
        """End the process. What runs on the cluster goes on."""
        if self._process:
            self._drop()

    def _connected(self) -> "subprocess.Popen[str]":
        if self._process is None:
            if self._trouble and time.monotonic() - self._started < RETRY_SEC:
                raise self._error(self._trouble)
            self._process = self._start()
        if not self._is_connected:
            self._read(0.0)
            self._is_connected, self._trouble = True, ""
        return self._process

    def _start(self) -> "subprocess.Popen[str]":
        self._started, self._answers = time.monotonic(), queue.Queue()
        process = subprocess.Popen(
            [sys.executable, "-m", self._driver, self.address],
            cwd=IMPORT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # or Ctrl-C at the server would end it in the middle of an answer
        )
        threading.Thread(target=collect, args=[process, self._answers], daemon=True).start()
        return process

    def _read(self, wait_sec: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=wait_sec) if wait_sec else self._answers.get_nowait()
        except queue.Empty:
            if self._is_connected:
                self._drop()
                raise self._error("It does not answer.") from None
            raise self._error("The connection is being made.") from None
        if not line:
            self._drop()
            raise self._error(self._trouble or "It has ended the connection.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            said = f"Ray says: {' '.join(answer['error'].split())[:MAX_SAID_CHARS]}"
            self._trouble = self._trouble if self._is_connected else said
            raise self._error(said)
        return answer

    def _drop(self) -> None:
        assert self._process is not None, "there is one to drop"
        self._process.kill()
        self._process.wait()
        self._process, self._is_connected = None, False
        self._trouble = self._trouble or "It has ended the connection."

    def _error(self, why: str) -> ClusterError:
        return ClusterError(f"The Ray cluster at {self.address} cannot be reached. {why}", HINT)


def collect(process: "subprocess.Popen[str]", answers: "queue.Queue[str]") -> None:
    """Put what a process prints into a queue, line by line, and an empty one when it ends."""
    assert process.stdout is not None, "it was opened with a pipe"
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put("")
