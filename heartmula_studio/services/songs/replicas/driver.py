"""`python -m heartmula_studio.services.songs.replicas.driver ADDRESS`: a process that is connected to a cluster.

As the driver of trainings, but for what it is asked: it deploys replicas, and lets the server in by a door of its own
(`multiprocessing.connection`), a connection for each order, by which its events come back and songs are stopped. What
it has deployed ends with it, unless it is killed.
"""

import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported

import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import RayServeException, RequestCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from heartmula_studio.services.songs.replicas.orders import Channel, Ended, Event, Lost, Order, receive, send
from heartmula_studio.services.songs.replicas.replica import SongReplica, Stops
from heartmula_studio.services.training.ray_cluster.driver import Driver, own_pipes, run

DEPLOYMENT = "songs"
STOP_SEC = 30.0  # until a replica that is taken away has to have ended its song


class SongDriver(Driver):
    """Answers requests by their name. None of them waits for replicas."""

    calls = ("cluster", "door", "deploy", "replicas", "delete")

    def __init__(self, address: str):
        """Raises OSError."""
        super().__init__(address)
        serve.start(proxy_location="Disabled")
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._stops = ray.remote(Stops).options(num_cpus=0, scheduling_strategy=here).remote()
        self._key = secrets.token_bytes()
        self._listener = Listener(authkey=self._key)
        self._application = ""
        self._handle: Any = None
        threading.Thread(target=self._let_in, daemon=True).start()

    def door(self) -> dict[str, Any]:
        """Return where orders are taken, and the key to it."""
        return {"address": self._listener.address, "key": self._key.hex()}

    def deploy(
        self, application: str, count: int, resources: Mapping[str, float], arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Have so many replicas started, in place of any that an application of this name has."""
        need = {"num_cpus": resources["CPU"], "num_gpus": resources["GPU"], "memory": resources["memory"]}
        replicas = serve.deployment(SongReplica).options(
            name=DEPLOYMENT,
            num_replicas=count,
            max_ongoing_requests=1,
            graceful_shutdown_timeout_s=STOP_SEC,
            ray_actor_options=need | {"runtime_env": {"env_vars": arguments["environment"]}},
        )
        target = serve.RunTarget(
            replicas.bind(arguments["base_name"], arguments["device"]), name=application, route_prefix=None
        )
        serve.run_many([target], wait_for_applications_running=False)
        self._application, self._handle = application, None
        return {}

    def replicas(self, application: str) -> dict[str, Any]:
        """Return how many replicas run, and what Serve says of those that do not; `exists` unless it was deleted."""
        found = serve.status().applications.get(application)
        deployment = found and found.deployments.get(DEPLOYMENT)
        running = deployment.replica_states.get("RUNNING", 0) if deployment else 0
        if found:  # it may be a driver's that was killed
            self._application = application
        return {"exists": found is not None, "running": running, "message": deployment.message if deployment else ""}

    def delete(self, application: str) -> dict[str, Any]:
        """Take all replicas away; what they are making is lost."""
        self._application, self._handle = "", None
        serve.delete(application, _blocking=False)
        serve.status()  # comes after it: this process may be killed as soon as it has answered
        return {}

    def close(self) -> None:
        """Leave nothing behind on the cluster."""
        if self._application:
            self.delete(self._application)

    def _let_in(self) -> None:
        while True:
            with suppress(OSError, EOFError, AuthenticationError):  # who left, or has no key
                threading.Thread(target=self._attend, args=[self._listener.accept()], daemon=True).start()

    def _attend(self, connection: Channel) -> None:
        """Have one order made; once the server closes the connection, nothing of it is wanted any more."""
        with closing(connection), suppress(OSError, EOFError):
            application, order = receive(connection)
            response = self._handed_out(application, order)
            telling = threading.Thread(target=tell, args=[connection, response], daemon=True)
            telling.start()
            try:
                while True:
                    self._stops.add.remote(order.id, receive(connection))
            finally:
                response.cancel()
                telling.join()
                self._stops.forget.remote(order.id)

    def _handed_out(self, application: str, order: Order) -> Any:
        self._handle = self._handle or serve.get_deployment_handle(DEPLOYMENT, application).options(stream=True)
        return self._handle.make.remote(order, self._stops)


def tell(connection: Channel, response: Any) -> None:
    """Pass on the events of an order; always with a last one, unless nobody listens."""
    with suppress(OSError):
        for event in events_of(response):
            send(connection, event)
            if isinstance(event, Ended | Lost):
                return
        send(connection, Lost("It has ended without a word."))


def events_of(response: Any) -> Iterator[Event]:
    """Yield what a replica says, and what Ray says of it."""
    try:
        yield from response
    except (TaskCancelledError, RequestCancelledError):
        yield Lost("It was stopped.")
    except RayTaskError as error:
        yield Ended(RuntimeError(str(error.cause)))
    except (RayError, RayServeException) as error:
        yield Lost(str(error))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], *own_pipes(), SongDriver))
