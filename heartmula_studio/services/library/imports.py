"""Datasets on their way in, while somebody waits or in the background: how far each is, and stopping it.

What is stopped, or killed, leaves nothing.
"""

import hashlib
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.library.import_steps import DownloadStep, ImportStep, ImportSteps, PullSteps
from heartmula_studio.services.tasks import RunningTask, Tasks
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.names import clean_line, safe_filename
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.store.views import ImportedDataset

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.services.library.dataset_exchange import DatasetExchange


@dataclass(frozen=True)
class _Import:
    """An import that has begun. `path` is a file of its own, which vanishes at its end."""

    task: RunningTask[ImportTask]
    path: Path


@dataclass(frozen=True)
class _Pull:
    """An import from the Hub that has begun."""

    task: RunningTask[ImportTask]
    steps: Iterator[DownloadStep | ImportStep | ImportedDataset]


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

        Raises as `DatasetImporter.take_one_by_one`. `list` shows it meanwhile, and `cancel` stops it.
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
    ) -> ImportSteps:
        """Yield the songs of `run_local`, each before it is read, and at last the dataset."""
        return self._exchange().import_local_one_by_one(source, name, styles, split)

    def pull(
        self, repo_id: str, revision: str = "", name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportedDataset:
        """Make a dataset of one on the Hub, of its newest commit where no revision is given.

        Raises as `run`, NotFoundError, HubError, and ConflictError while the same is being pulled. `list` shows it
        meanwhile, and `cancel` stops it; what has been downloaded stays in the Hub's cache.
        """
        with self._pulling(repo_id, revision, name, styles, split) as begun:
            return self._take(begun.task, begun.steps)

    def start_pull(
        self, repo_id: str, revision: str = "", name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportTask:
        """Do what `pull` does in a thread of its own, once the Hub has said what there is to download."""

        def take(begun: _Pull) -> None:
            self._take(begun.task, begun.steps)

        return self._tasks.start(lambda: self._pulling(repo_id, revision, name, styles, split), take).task.state

    def pull_one_by_one(
        self, repo_id: str, revision: str = "", name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> PullSteps:
        """Yield how far the download of `pull` is, then its songs, each before it is read, and at last the dataset."""
        return self._exchange().pull_one_by_one(repo_id, revision, name, styles, split)

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

    @contextmanager
    def _pulling(self, repo_id: str, revision: str, name: str, styles: Sequence[str], split: str) -> Iterator[_Pull]:
        self._store.remove_abandoned()
        same = hashlib.sha256("\n".join((repo_id, revision, split)).encode()).hexdigest()
        with self._store.attempt_next(f"pull-{same}") as is_free:
            if not is_free:
                raise ConflictError(f"{clean_line(repo_id)} is being imported.", "Wait until it is here, or cancel it.")
            with self._running(name or repo_id, repo_id) as task:
                steps = self._exchange().pull_one_by_one(repo_id, revision, name, styles, split, task.is_cancelled)
                with closing(steps):
                    yield _Pull(task, chain((next(steps),), steps))

    def _running(self, name: str, repo_id: str = "") -> AbstractContextManager[RunningTask[ImportTask]]:
        id = self._store.datasets.new_id()
        return self._tasks.running(_lock_name(id), ImportTask(id=id, name=clean_line(name), repo_id=repo_id))

    def _import(
        self, task: RunningTask[ImportTask], path: Path, filename: str, name: str, styles: Sequence[str], split: str
    ) -> ImportedDataset:
        exchange = self._exchange()
        steps = exchange.import_upload_one_by_one(path, filename, name, styles, split, task.is_cancelled)
        with closing(steps):
            return self._take(task, steps)

    def _take(
        self, task: RunningTask[ImportTask], steps: Iterator[DownloadStep | ImportStep | ImportedDataset]
    ) -> ImportedDataset:
        for step in steps:
            if isinstance(step, ImportedDataset):
                count = len(step.audio_files)
                task.change(name=step.name, done=count, total=count, dataset_id=step.id, skipped=step.skipped)
                return step
            if isinstance(step, DownloadStep):
                task.check()
                share = step.done_bytes / max(step.total_bytes, 1)
                task.change(share, downloaded_bytes=step.done_bytes, download_bytes=step.total_bytes)
            else:
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
