"""`heartmula-studio catalogue`: very many recordings into shards of tokens."""

from argparse import Namespace
from importlib.util import find_spec

from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.dataset.catalogue import Catalogue
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.cataloguing.work import ShardTask, write_shard
from heartmula_studio.services.cataloguing.workers import in_processes, on_cluster
from heartmula_studio.settings import Settings

MAX_WORKERS = 256


def catalogue(arguments: Namespace) -> int:
    """Write what is missing. Raises InvalidInputError, NotFoundError, ConflictError, StorageError, ClusterError."""
    check_options(arguments)
    runtime = Runtime.of(Settings.load(), arguments.base, arguments.device)
    made = Catalogue(arguments.out.resolve(), arguments.audio.resolve())
    with disk_explained(made.folder):
        count = made.make_lists()
        missing = list(made.missing(count))
        tasks = (
            ShardTask(str(made.folder), str(made.audio), number, runtime.base_name, str(runtime.device), runtime.limits)
            for number in missing
        )
        with progress_bar("Listening", "shard") as report:
            results = (
                on_cluster(write_shard, tasks, arguments.ray)
                if arguments.ray
                else in_processes(write_shard, tasks, arguments.workers)
            )
            for done, _ in enumerate(results, start=1):
                report(count - len(missing) + done, count)
        good, bad = made.write_index(count)
    print(f"{good:,} recordings have tokens in {made.folder}.")
    if bad:
        print(f"{bad:,} cannot be used; {made.errors} says why.")
    return 0


def check_options(arguments: Namespace) -> None:
    if not arguments.audio.is_dir():
        raise NotFoundError(f"There is no folder {arguments.audio}.", "Give the folder of the recordings.")
    if not 1 <= arguments.workers <= MAX_WORKERS:
        raise InvalidInputError(f"--workers is {arguments.workers}.", f"Allowed: 1 to {MAX_WORKERS}.")
    if arguments.ray and find_spec("ray") is None:
        raise InvalidInputError("Ray is not installed.", "Install it with: pip install 'heartmula-studio[ray]'")
