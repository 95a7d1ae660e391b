"""Datasets on their way in, while somebody waits or in the background: how far each is, and stopping it.

What is stopped, or killed, leaves nothing.
"""

import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import NotFoundError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.tasks import RunningTask, Tasks
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.names import clean_line, safe_filename
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.store.views import ImportedDataset

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.services.library.dataset_exchange import DatasetExchange
    from heartmula_studio.services.library.dataset_import import ImportSteps


@dataclass(frozen=True)
class _Import:
    """An import that has begun. `path` is a file of its own, which vanishes at its end."""

    task: RunningTask[ImportTask]
    path: Path


class ImportService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(self, store: Store, max_bytes: int, exchange: "Callable[[], DatasetExchange]"):
        """max_bytes: of a file that is sent. exchange: what takes datasets in; its making loads torch."""
        self._store, self._max_bytes, self._exchange = store, max_bytes, exchange
        self._closing = threading.Event()
        self._tasks: Tasks[ImportTask] = Tasks(store, self._closing, "This is being imported.")

    def receive(self, filename: str) -> AbstractContextManager[Incoming]:
        """Take in a file for `run` or `start` piece by piece; it vanishes at the end of the block."""
        return self._store.receive(filename, self._max_bytes)

    def run(
        self, path: str | Path, filename: str, name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportedDataset:
        """Make a dataset of an archive or a table that anybody may have sent: it can name no file of this machine.

        Raises as `DatasetImporter.take`, and CancelledError. `list` shows it meanwhile, and `cancel` stops it.
        """
        with self._running(name or filename) as task:
            return self._import(task, Path(path), filename, name, styles, split)

    def start(
        self, source: Incoming | Path, filename: str, name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportTask:
        """Do what `run` does in a thread of its own; what was received is taken away, and a file stays where it is."""

        def take_in(begun: _Import) -> None:
            self._import(begun.task, begun.path, filename, name, styles, split)

        return self._tasks.start(lambda: self._begun(source, filename, name), take_in).task.state

    def run_local(
        self, source: str | Path, name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportedDataset:
        """Make a dataset of what lies on this machine, or of user/name on the Hub. All songs come in, or none."""
        taken = deque(self.local_one_by_one(source, name, styles, split), maxlen=1).pop()
        assert isinstance(taken, ImportedDataset), taken
        return taken

    def local_one_by_one(
        self, source: str | Path, name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> "ImportSteps":
        """Yield the songs of `run_local`, each before it is read, and at last the dataset."""
        return self._exchange().import_local_one_by_one(source, name, styles, split)

    def get(self, id: str) -> ImportTask:
        """Say how far an import is, or was when it ended. Raises NotFoundError for one that this server has not run."""
        found = self._tasks.find(_lock_name(id))
        if found is None:
            raise NotFoundError(
                f"There is no import {id[:60]!r}.",
                "A server that starts knows of none. What has come in is a dataset; of the others, nothing is left.",
            )
        return found

    def cancel(self, id: str) -> ImportTask:
        """Stop an import within moments; nothing of it is left. Raises as `get`, ConflictError where it has ended."""
        return self._tasks.cancel(_lock_name(self.get(id).id))

    def close(self) -> None:
        """Stop within moments what is coming in."""
        self._closing.set()
        self._tasks.close()

    @contextmanager
    def _begun(self, source: Incoming | Path, filename: str, name: str) -> Iterator[_Import]:
        self._store.remove_abandoned()
        with self._running(name or filename) as task, self._store.scratch() as folder:
            path = folder / f"import{Path(safe_filename(filename)).suffix}"
            if isinstance(source, Incoming):
                source.move_to(path)
            else:
                with disk_explained(path):
                    _link_or_copy(source, path)
            yield _Import(task, path)

    def _running(self, name: str) -> AbstractContextManager[RunningTask[ImportTask]]:
        id = self._store.datasets.new_id()
        return self._tasks.running(_lock_name(id), ImportTask(id=id, name=clean_line(name)))

    def _import(
        self, task: RunningTask[ImportTask], path: Path, filename: str, name: str, styles: Sequence[str], split: str
    ) -> ImportedDataset:
        exchange = self._exchange()
        steps = exchange.import_upload_one_by_one(path, filename, name, styles, split, task.is_cancelled)
        with closing(steps):
            for step in steps:
                if isinstance(step, ImportedDataset):
                    count = len(step.audio_files)
                    task.change(name=step.name, done=count, total=count, dataset_id=step.id, skipped=step.skipped)
                    return step
                task.change(done=step.done, total=step.total)
                task.begin(step.filename)
        raise AssertionError("an import ends with a dataset")

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[ImportTask]:
        """The imports that go on, and the last that have ended, those that began first in front."""
        return self._tasks.states()


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; a copy of it where it lies on another disk, or there are no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _lock_name(id: str) -> str:
    return f"import-{id}"
