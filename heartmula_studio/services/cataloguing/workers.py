"""Workers that take one task after another; a few tasks at a time are handed out, however many there are."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from heartmula_studio.device_name import is_gpu
from heartmula_studio.errors import ClusterError, StorageError
from heartmula_studio.services.cataloguing.work import ShardTask
from heartmula_studio.services.ray_address import require_listener

Task = TypeVar("Task")
Result = TypeVar("Result")
QUEUED = 2  # tasks for each worker: the next is at hand when one is done


def in_processes(work: Callable[[Task], Result], tasks: Iterable[Task], num_workers: int) -> Iterator[Result]:
    """Yield results as processes of this machine come to them. Raises StorageError where one of them is killed."""
    waiting = iter(tasks)
    with ProcessPoolExecutor(num_workers, get_context("spawn")) as pool:
        open_tasks = {pool.submit(work, task) for task in islice(waiting, QUEUED * num_workers)}
        while open_tasks:
            done, open_tasks = wait(open_tasks, return_when=FIRST_COMPLETED)
            open_tasks |= {pool.submit(work, task) for task in islice(waiting, len(done))}
            try:
                yield from (future.result() for future in done)
            except BrokenProcessPool as error:
                raise StorageError(
                    "A worker was killed, perhaps because memory ran out.",
                    "Start it again, with fewer workers: it goes on with the shards that are missing.",
                ) from error


def on_cluster(work: Callable[[ShardTask], int], tasks: Iterable[ShardTask], address: str) -> Iterator[int]:
    """Yield results as the nodes of a Ray cluster come to them; what is lost with a node is done again elsewhere.

    A task has one core or, where its device is a GPU, that. Raises as `work`, and ClusterError where the cluster cannot
    be reached.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported
    import ray

    try:
        require_listener(address)
        ray.init(address, log_to_driver=False, configure_logging=False)
        waiting = iter(tasks)
        num_open = QUEUED * int(ray.cluster_resources().get("CPU", 1))
        on_node = ray.remote(max_retries=-1)(work)

        def hand_out(count: int) -> list[Any]:
            return [on_node.options(**share_of(task)).remote(task) for task in islice(waiting, count)]

        open_tasks = hand_out(num_open)
        while open_tasks:
            done, open_tasks = ray.wait(open_tasks)
            open_tasks += hand_out(len(done))
            yield from ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except (ray.exceptions.RayError, OSError, ValueError) as error:
        raise ClusterError(
            f"The Ray cluster at {address} cannot go on: {error}", "Start it again: it goes on where it ended."
        ) from error
    finally:
        ray.shutdown()


def share_of(task: ShardTask) -> dict[str, int]:
    """Return what a task takes of a node, by Ray's names."""
    return {"num_cpus": 0, "num_gpus": 1} if is_gpu(task.device) else {"num_cpus": 1, "num_gpus": 0}
