"""The queue of training jobs: who is next is told by `turns`; every job is brought into a true state.

Workers live on when a server ends, and are found again by the next. Two servers may share one data folder: whatever
changes the queue happens under its lock.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio.errors import ClusterError, ConflictError, StorageError, StudioError
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.jsonl import lines_after
from heartmula_studio.finetune.events import DoneEvent, last_event, public_line
from heartmula_studio.services.derived import Derived
from heartmula_studio.services.devices import QUEUE_LOCK
from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.library.catalogues import Catalogues
from heartmula_studio.services.owners import refuse_too_many
from heartmula_studio.services.training import progress
from heartmula_studio.services.training.executor import Executor
from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.job_records import begun, new_job, queued_again, under_way, with_states
from heartmula_studio.services.training.local_executor import LocalExecutor
from heartmula_studio.services.training.outcome import (
    JobOutcome,
    failed,
    finish,
    note_tokens,
    record_outcome,
    unsettled,
)
from heartmula_studio.services.training.parent import with_parent
from heartmula_studio.services.training.placement import Placement, take_placement
from heartmula_studio.services.training.snapshot import Source, find_source, snapshot
from heartmula_studio.services.training.turns import in_turn
from heartmula_studio.services.zero_gpu import refuse_training
from heartmula_studio.store.records import UNDER_WAY, Dataset, Failure, Job, Method
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # it brings torch, which a server that only lists jobs can do without
    from heartmula_studio.finetune.config import TrainConfig
    from heartmula_studio.generate.runtime import Runtime

RESUMABLE = ("interrupted", "failed", "cancelled")

NO_CATALOGUES = Catalogues(None)

_log = logging.getLogger(__name__)


class JobQueue:
    """Any thread may call any method. Records come back with what a running worker has done so far."""

    def __init__(
        self,
        store: Store,
        runtime: "Lazy[Runtime]",
        local: LocalExecutor,
        ray: Executor | None,
        poll_sec: float = 0.5,
        max_jobs_per_user: int | None = None,
        catalogues: Catalogues = NO_CATALOGUES,
    ):
        """Jobs run on the Ray cluster where there is one, else on this machine."""
        self._max_jobs_per_user, self._catalogues = max_jobs_per_user, catalogues
        self._store, self._runtime, self._poll_sec = store, runtime, poll_sec
        self._local, self._current = local, ray or local
        self._unsettled: dict[str, Job] = {}  # true states that the disk refuses to take, by job
        self._progress = progress.LiveProgress()
        self._under_way, self._records = Derived(under_way), Derived(with_states)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job queue", daemon=True)

    def open(self) -> None:
        """Begin to look after the jobs in the background."""
        self._thread.start()

    def close(self) -> None:
        """End the background thread. Workers go on; the next server finds them."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._current.close()

    # --- what a person asks for ------------------------------------------------------------------------------------

    def start(self, dataset_id: str = "", method: Method = "lora", catalogue: str = "", **settings: Any) -> Job:
        """Queue a training run with the trainer's own settings; those of the LoRA are called `lora_rank` and so on.

        It learns from a dataset, or from the catalogue of that name.

        Beside them, `settings` may hold those of a `Placement`: `priority`, `owner`, `processes`.
        Raises InvalidInputError for too few songs ("3 of 5"), or a setting outside what is allowed, NotFoundError.
        """
        placement = take_placement(settings)
        settings = with_parent(self._store, self._runtime.get(), method, settings)
        return self._queue(dataset_id, catalogue, self._runtime.get().train_config(method, settings), placement)

    def clone(self, id: str, /, **changes: Any) -> Job:
        """Queue the same job again, with other settings where `changes` says so."""
        from heartmula_studio.finetune.config import TrainConfig

        job, runtime = self.get(id), self._runtime.get()
        dataset_id, method = changes.pop("dataset_id", job.dataset_id), changes.pop("method", job.method)
        placement = take_placement(changes, job)
        config = TrainConfig.from_dict(job.config)
        changes = with_parent(self._store, runtime, method, {"start_from": config.start_from} | changes)
        catalogue = changes.pop("catalogue", "" if dataset_id else job.catalogue)
        return self._queue(dataset_id, catalogue, runtime.changed_config(config, method, changes), placement)

    def submit(
        self,
        source: Source,
        config: "TrainConfig",
        device: str,
        base_name: str,
        checkpoint_name: str | None = None,
        placement: Placement | None = None,
    ) -> Job:
        """Queue a job on a dataset as it is now, or on a catalogue. `base_name` is "nano" or a base's absolute folder.

        Raises InvalidInputError for a dataset with too few songs, AudioMissingError, and StorageError where the disk
        refuses; there is no job then.
        """
        songs = snapshot(self._store, source, checkpoint_name)
        config = replace(config, base_model=base_name, dataset=songs.catalogue or "dataset")
        job = new_job(self._store.jobs.new_id(), source, config, device)
        job = replace(job, executor=self._current.name, **asdict(placement or Placement()))

        def fill(path: Path) -> None:
            folder = JobFolder(path)
            config.save(folder.config)
            folder.write_songs(songs)
            if config.start_from:
                self._store.checkpoints.copy_to(config.start_from, folder.parent)

        return self._store.jobs.create(job, fill)

    def get(self, id: str) -> Job:
        """Raises NotFoundError, and StorageError where the record is damaged."""
        return self._live(self._store.jobs.get(id))

    def stop(self, id: str, save: bool = True) -> Job:
        """End a job: with `save` after the current step, to be resumed from there; else at once, as `cancelled`.

        A queued job is just cancelled. Raises NotFoundError, ConflictError for a job that has ended or whose process
        is on another computer, StorageError.
        """
        with self._store.lock(QUEUE_LOCK):
            job = self._live(self._store.jobs.get(id))
            if job.status == "queued":
                finish(self._store, job, JobOutcome("cancelled", "Cancelled before it began."))
            elif job.status != "running":
                raise ConflictError(
                    f"The job has ended: it is {job.status}.", "Only queued and running jobs can be stopped."
                )
            elif save:
                with disk_explained(self._folder(id).stop):
                    self._folder(id).stop.touch()
            else:
                self._kill(job)
        return self.get(id)

    def resume(self, id: str) -> Job:
        """Queue a job again that was interrupted, cancelled or has failed; it goes on from its last saved step.

        A job that had not begun to train takes the songs of its dataset anew. Raises NotFoundError (for the dataset,
        too), ConflictError for a job in another state, InvalidInputError for too few songs, StorageError.
        """
        refuse_training()
        with self._store.lock(QUEUE_LOCK):
            folder = self._folder(id)
            if id in self._unsettled and self._store.jobs.get(id).status == "running":
                with disk_explained(folder.path):
                    self._settle(self._store.jobs.get(id))
            job = self._store.jobs.get(id)
            if job.status not in RESUMABLE:
                raise ConflictError(
                    f"The job is {job.status}.", f"Only jobs that are {', '.join(RESUMABLE)} can be resumed."
                )
            if not (job.catalogue or folder.dataset.is_dir()):
                name = folder.read_songs().checkpoint_name
                with disk_explained(folder.songs):
                    folder.write_songs(snapshot(self._store, self._store.datasets.get(job.dataset_id), name))
            self._store.jobs.update(id, lambda job: queued_again(job, self._current.name))
        return self.get(id)

    def delete(self, id: str) -> None:
        """Remove a job with its files; its checkpoint stays. Raises NotFoundError, ConflictError while it runs."""
        with self._store.lock(QUEUE_LOCK):
            if self._live(self._store.jobs.get(id)).status == "running":
                raise ConflictError("The job is running.", "Stop or cancel it first.")
            self._store.jobs.delete(id)
            self._unsettled.pop(id, None)

    def require_free(self, dataset: Dataset, what: str) -> None:
        """Raise ConflictError where a job, or tokenizing, needs `what` of a dataset."""
        for job in self._store.jobs.list():
            if job.dataset_id == dataset.id and job.status in UNDER_WAY:
                raise ConflictError(
                    f"{what} is needed by the job {job.id}, which is {job.status}.", "Cancel the job, or wait for it."
                )
        if dataset.status == "processing":
            raise ConflictError(f"{what} is being tokenized.", "Wait until that is done.")

    def find_running(self) -> str | None:
        """The id of the oldest job whose record says that it runs."""
        jobs = self._under_way.of(self._store.jobs.records())
        return next((job.id for job in jobs if job.status == "running"), None)

    def logs(self, id: str, offset: int = 0) -> tuple[str, int]:
        """Read the log from a byte offset: the text, at most 1 MiB, and where to go on.

        Raises NotFoundError, InvalidInputError for a negative offset.
        """
        return progress.read_text(self._folder(id).logs, offset)

    def metrics(self, id: str) -> list[dict[str, Any]]:
        """All that was measured so far, as in metrics.jsonl. Raises NotFoundError."""
        return [public_line(line) for _, line in lines_after(self._folder(id).metrics, 0)]

    def events(self, id: str, after: int = 0, stop: threading.Event | None = None) -> Iterator[progress.Event]:
        """Yield (event id, line of metrics.jsonl) behind the event `after`, as they come, until the job has ended.

        The last one is `{"event": "end", "status": ...}`, left out when `stop` is set. Raises NotFoundError at once.
        """
        self._store.jobs.get(id)

        def status() -> str:
            return self._true(self._store.jobs.get(id)).status

        return progress.follow(self._folder(id).metrics, status, after, stop or threading.Event())

    def _queue(self, dataset_id: str, catalogue: str, config: "TrainConfig", placement: Placement) -> Job:
        refuse_training()
        placement.require_executor(self._current.name)
        runtime = self._runtime.get()
        with self._store.lock(QUEUE_LOCK):  # or the dataset could go in this moment
            source = find_source(self._store, self._catalogues, dataset_id, catalogue)
            under_way = (job for job in self._store.jobs.list() if job.status in UNDER_WAY)
            refuse_too_many("job", under_way, 1, self._max_jobs_per_user)
            return self.submit(source, config, str(runtime.device), runtime.base_name, placement=placement)

    # --- the scheduler ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after all jobs once: settle those whose worker has ended, then start what can start."""
        with self._store.lock(QUEUE_LOCK):
            jobs = self._store.jobs.list()
            running = [job for job in jobs if job.status == "running" and self._attend(job)]
            running = [job for job in running if job.executor == self._current.name]
            waiting = in_turn((job for job in jobs if job.status == "queued"), jobs)
            waiting = [self._store.jobs.get(job.id) for job in waiting]
            lines: dict[str, list[Job]] = {}
            for job in waiting:
                lines.setdefault(self._current.line_of(job), []).append(job)
            for line in lines.values():
                self._serve(line, running)

    def _serve(self, line: list[Job], running: list[Job]) -> None:
        """Start the first of the jobs that wait in one line, if it can, and tell the others where they stand."""
        first = line[0]
        try:
            self._start_or_wait(first, running)
            for position, job in enumerate(line[1:], start=2):
                self._tell(job, position, f"Number {position} in line.")
        except StorageError as error:
            self._unsettled[first.id] = replace(first, message=f"Cannot start yet. {error}")

    def _tell(self, job: Job, position: int, message: str) -> None:
        if (job.queue_position, job.message) != (position, message):
            self._store.jobs.update(job.id, lambda job: replace(job, queue_position=position, message=message))

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.tick()
            except Exception:  # one bad moment, a full disk say, must not end the looking after
                _log.exception("The job queue will try again")
            self._closing.wait(self._poll_sec)

    def _attend(self, job: Job) -> bool:
        """Look after a running job; tell whether it still runs."""
        is_known = job.id in self._unsettled
        try:
            folder = self._folder(job.id)
            if folder.is_worked_on() or self._executor_of(job).is_starting(job, folder):
                self._unsettled.pop(job.id, None)
                self._keep_up(job, folder)
                return True
            if self._never_began(job, folder):
                self._store.jobs.update(job.id, lambda job: replace(job, status="queued", phase="waiting"))
            else:
                self._settle(job)
        except ClusterError as error:
            self._unsettled[job.id] = replace(job, message=str(error))
            return True
        except Exception:  # of this job's files, or of the disk: the other jobs must not wait for ever
            if not is_known:
                _log.exception("The job %s cannot be settled yet", job.id)
            return True
        return False

    def _settle(self, job: Job) -> None:
        """Record how a job ended whose worker is gone. Raises as `settle`; the job is shown in its true state then."""
        executor = self._executor_of(job)
        end = executor.end_of(job, self._folder(job.id))
        try:
            record_outcome(self._store, job, end)
        except (StudioError, OSError):
            self._unsettled[job.id] = unsettled(self._store, job, end)
            raise
        self._unsettled.pop(job.id, None)
        executor.forget(job)

    def _keep_up(self, job: Job, folder: JobFolder) -> None:
        """Write down what others need to know of a running job and its own process cannot tell them."""
        if job.worker is None and (worker := folder.read_worker()):
            self._store.jobs.update(job.id, lambda job: replace(job, worker=worker))
        if job.phase == "tokenising" and folder.dataset.is_dir():
            note_tokens(self._store, job, folder)
            self._store.jobs.update(job.id, lambda job: replace(job, phase="training"))

    def _never_began(self, job: Job, folder: JobFolder) -> bool:
        """Tell whether a server was killed between taking the job and starting its worker."""
        if job.worker is not None or folder.read_worker() is not None:
            return False
        return not self._executor_of(job).has_started(job, folder)

    def _executor_of(self, job: Job) -> Executor:
        """Return where a job runs. Of one on a cluster that is not used any more, its folder tells all."""
        return self._current if job.executor == self._current.name else self._local

    def _start_or_wait(self, job: Job, running: list[Job]) -> None:
        self._unsettled.pop(job.id, None)
        try:
            reason = self._current.reason_to_wait(job, self._folder(job.id), running)
        except StudioError as error:  # its songs.json or base model: those behind it must not wait for ever
            finish(self._store, job, failed(Failure(error.code, error.message, error.hint)))
            return
        if reason is None:
            self._start(job)
        else:
            self._tell(job, 1, reason)

    def _start(self, job: Job) -> None:
        folder, executor = self._folder(job.id), self._current
        device = executor.device_of(job)
        try:
            folder.forget_last_attempt()
            job = self._store.jobs.update(job.id, lambda job: begun(job, folder, executor.name, device))
            executor.start(job, folder)
        except OSError as error:
            reason = f"The job cannot start: {error.filename or folder.path}: {error.strerror or error}."
            hint = "Make room on its disk and see that you may write there, then resume the job."
            finish(self._store, job, failed(Failure("storage", reason, hint)))

    def _kill(self, job: Job) -> None:
        folder, executor = self._folder(job.id), self._executor_of(job)
        executor.kill(job, folder)
        executor.forget(job)
        if isinstance(last_event(folder.metrics), DoneEvent):
            record_outcome(self._store, job)
        else:
            note_tokens(self._store, job, folder)
            finish(self._store, job, JobOutcome("cancelled", "Cancelled."))

    def _live(self, job: Job) -> Job:
        true = self._true(job)
        return self._progress.of(job, self._folder(job.id)) if true is job and job.status == "running" else true

    def _true(self, job: Job) -> Job:
        """The job, or the state it is in where the disk refuses to take that."""
        return self._unsettled.get(job.id, job) if job.status in UNDER_WAY else job

    def _folder(self, id: str) -> JobFolder:
        return JobFolder(self._store.jobs.folder(id))

    def records(self) -> tuple[Job, ...]:
        """All jobs, oldest first; the same tuple for as long as nothing changes. Raises StorageError."""
        stored = self._store.jobs.records()
        return self._records.of(stored, tuple(self._live(job) for job in self._under_way.of(stored)))

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[Job]:
        """All jobs, oldest first."""
        return [*self.records()]
