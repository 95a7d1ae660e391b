"""Replicas of the engine on a Ray cluster, each of which makes a batch of songs at a time."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any

from heartmula_studio.device_name import device_kind
from heartmula_studio.errors import CancelledError, ClusterError, InvalidInputError
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.songs.song_engine import Composition, Redecoding
from heartmula_studio.services.training.ray_cluster.executor import PASSED_ON, Need
from heartmula_studio.services.training.ray_cluster.gpus import gpu_share
from heartmula_studio.services.training.ray_cluster.link import MAX_SAID_CHARS, RayLink
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import Generation

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.songs.replicas.orders import Channel, Order
    from heartmula_studio.services.songs.replicas.receiving import Receiver
    from heartmula_studio.services.songs.song_styles import SongStyles

DRIVER = "heartmula_studio.services.songs.replicas.driver"
POLL_SEC = 0.2
KNOWN_SEC = 1.0  # that what is known of the replicas holds
MAX_LOST = 5  # replicas, until a song is taken for what ends them
STARTING = "Waits for a replica of the engine to start on the cluster."


class ReplicaLostError(Exception):
    """The replica that made an order is gone, or the way to it."""


class ReplicaEngine:
    """A `SongEngine`. Base and data folder lie at the same path on server and nodes; songs go through Ray."""

    def __init__(
        self, address: str, num_replicas: int, application: str, runtime: "Lazy[Runtime]", styles: "Lazy[SongStyles]"
    ):
        """application: what the replicas are called on the cluster, where others so called make way for them."""
        self.num_batches = num_replicas
        self._link, self._application = RayLink(address, DRIVER), application
        self._runtime, self._styles = runtime, styles
        self._lock = threading.Lock()  # of all below, and the link
        self._num_busy = self._num_running = 0
        self._is_deployed = False
        self._reason, self._looked = "", float("-inf")

    @property
    def is_loaded(self) -> bool:
        return self._num_running > 0

    def enter(self, lease: ExitStack, since: str) -> str | None:
        with self._lock:
            if reason := self._look():
                return reason
            if self._num_busy >= self._num_running:
                return "Waits for a replica of the engine that is free."
            self._num_busy += 1
        lease.callback(self._leave)
        return None

    def wanted(self, since: str) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> None:
        """A place was taken, so a replica runs."""

    def compose(self, song: Generation, work: Composition) -> None:
        """Raises ClusterError where replica after replica is lost."""
        from heartmula_studio.services.songs.replicas.orders import ComposeOrder

        styles = self._styles.get()
        with styles.of(song) as wanted, styles.taken_back(song, wanted):
            self._make(ComposeOrder.of(work, self._base_name(), wanted), work)

    def decode(self, work: Redecoding) -> None:
        """Raises as `compose`."""
        from heartmula_studio.services.songs.replicas.orders import DecodeOrder

        self._make(DecodeOrder.of(work, self._base_name()), work)

    def let_go(self) -> None:
        with self._lock:
            if self._is_deployed:
                self._delete()

    def close(self) -> None:
        self.let_go()
        with self._lock:
            self._link.close()

    def _base_name(self) -> str:
        return self._runtime.get().base_name

    def _leave(self) -> None:
        with self._lock:
            self._num_busy -= 1

    # --- the replicas, under the lock --------------------------------------------------------------------------------

    def _look(self) -> str:
        """Return why no replica can be used, "" where one can; what is missing is started."""
        if time.monotonic() - self._looked >= KNOWN_SEC:
            try:
                self._num_running, self._reason = self._ask()
            except ClusterError as error:
                self._num_running, self._reason = 0, str(error)
            self._looked = time.monotonic()
        return self._reason

    def _ask(self) -> tuple[int, str]:
        """Raises ClusterError."""
        if not self._is_deployed:
            return 0, self._deploy()
        state = self._link.call("replicas", application=self._application)
        self._is_deployed = state["exists"]  # another server, or a person, may have deleted them
        if state["running"]:
            return state["running"], ""
        return 0, f"{STARTING} {shortened(state['message'])}".strip()

    def _deploy(self) -> str:
        nodes = self._link.call("cluster")["nodes"]
        if any(node["gpu_bytes"] is None for node in nodes):
            return "Waits for the nodes of the cluster to say what GPUs they have."
        need = need_of_replica(self._runtime.get(), self.num_batches, nodes)
        if not any(need.fits(node["resources"]) for node in nodes):
            return f"Waits for a node to join the cluster: a replica needs {need}, which none of {len(nodes)} has."
        self._link.call(
            "deploy",
            application=self._application,
            count=self.num_batches,
            resources=asdict(need),
            arguments={
                "base_name": self._base_name(),
                "device": "cuda" if need.GPU else "cpu",
                "environment": {name: os.environ[name] for name in PASSED_ON if name in os.environ},
            },
        )
        self._is_deployed = True
        return STARTING

    def _delete(self) -> None:
        self._is_deployed, self._num_running, self._looked = False, 0, float("-inf")
        try:
            self._link.call("delete", application=self._application)
        except ClusterError:  # there is no cluster to hold anything
            return

    # --- orders ------------------------------------------------------------------------------------------------------

    def _make(self, order: "Order", work: Composition | Redecoding) -> None:
        """Have an order made, on another replica where one is lost: whole, so that every song comes out the same."""
        from heartmula_studio.services.songs.replicas.receiving import receiving

        with receiving(work) as receiver:
            for _ in range(MAX_LOST):
                try:
                    return self._hand_out(order.without(receiver.made), receiver, work)
                except ReplicaLostError as error:
                    reason = shortened(str(error))
                    work.say("The replica that made this song was lost. It is made again on another one.")
                self._wait_for_another(work)
        raise ClusterError(
            f"{MAX_LOST} replicas were lost while they made this song. The last one: {reason}",
            "See whether the nodes have memory enough for it, or ask for a shorter song.",
        )

    def _hand_out(self, order: "Order", receiver: "Receiver", work: Composition | Redecoding) -> None:
        """Raises ReplicaLostError, CancelledError, and what the replica says is wrong."""
        from heartmula_studio.services.songs.replicas.orders import Ended, Lost, receive, send

        with self._connection() as connection:
            send(connection, (self._application, order))
            told: set[int] = set()
            while True:
                if work.cancelled():
                    raise CancelledError("The work was stopped.", "Start it again when you like.")
                if unwanted := receiver.unwanted() - told:
                    send(connection, unwanted)
                    told |= unwanted
                if not connection.poll(POLL_SEC):
                    continue
                event = receive(connection)
                if isinstance(event, Lost):
                    raise ReplicaLostError(event.reason)
                if isinstance(event, Ended):
                    return finish(event.error)
                receiver.take(event)

    @contextmanager
    def _connection(self) -> "Iterator[Channel]":
        """Raises ReplicaLostError where the driver cannot be reached, in the block, too."""
        try:
            with self._lock:
                door = self._link.call("door")
            with Client(door["address"], authkey=bytes.fromhex(door["key"])) as connection:
                yield connection
        except (OSError, EOFError, ClusterError) as error:
            raise ReplicaLostError(str(error)) from error

    def _wait_for_another(self, work: Composition | Redecoding) -> None:
        """Wait until a replica runs. Raises CancelledError."""
        said = ""
        while reason := self._look_again():
            if reason != said:
                work.say(said := reason)
            if work.cancelled():
                raise CancelledError("The work was stopped.", "Start it again when you like.")
            time.sleep(POLL_SEC)

    def _look_again(self) -> str:
        with self._lock:
            return self._look()


def shortened(text: str) -> str:
    """Return what Ray says, in one line that is not too long."""
    return " ".join(text.split())[:MAX_SAID_CHARS]


def finish(error: Exception | None) -> None:
    if error:
        raise error


def need_of_replica(runtime: "Runtime", num_replicas: int, nodes: Sequence[Mapping[str, Any]]) -> Need:
    """Return what to ask the cluster for: a GPU each where it has so many, else a share by the estimate of memory.

    Without GPUs, memory by that estimate, and as many cores as OMP_NUM_THREADS says, one where it says nothing. Where
    this machine has no NVIDIA GPU, the estimate is that of full precision.
    """
    from heartmula_studio.generate.memory import generation_bytes

    device = str(runtime.device)
    needed = generation_bytes(runtime.base, device if device_kind(device) == "cuda" else "cpu")
    cores = float(os.environ.get("OMP_NUM_THREADS") or 1)
    gpus = {node["gpu_bytes"]: node["resources"]["GPU"] for node in nodes if node["resources"].get("GPU")}
    if not gpus:
        return Need(cores, 0.0, needed)
    num_gpus = sum(node["resources"].get("GPU", 0) for node in nodes)
    return Need(cores, 1.0 if num_gpus >= num_replicas else gpu_share(needed, min(gpus)), 0)


def replicas_of(settings: Settings, runtime: "Lazy[Runtime]", styles: "Lazy[SongStyles]") -> ReplicaEngine | None:
    """Return the replicas that songs are made by according to the settings; None where the server makes them itself.

    Raises InvalidInputError where Ray Serve is not installed, or no address says where the cluster is.
    """
    if not settings.song_replicas:
        return None
    if find_spec("ray") is None or find_spec("grpc_reflection") is None:  # Serve comes with Ray, what it needs does not
        raise InvalidInputError(
            f"Songs are to be made by {settings.song_replicas} replicas, but Ray Serve is not installed.",
            "Install it with: pip install 'heartmula-studio[serve]'",
        )
    if settings.ray_address is None:
        raise InvalidInputError(
            f"Songs are to be made by {settings.song_replicas} replicas, but no ray_address says where the cluster is.",
            "Set HEARTMULA_RAY_ADDRESS to host:port of its head node.",
        )
    folder = hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:8]
    return ReplicaEngine(settings.ray_address, settings.song_replicas, f"heartmula-songs-{folder}", runtime, styles)
