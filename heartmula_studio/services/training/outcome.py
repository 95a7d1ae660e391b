"""Turns a finished worker into the job's final status, and its result into a checkpoint.

All of it may be done again: a server that is killed in the middle repeats it.
"""

import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from heartmula_studio.errors import CheckpointCorruptError, NotFoundError, StorageError
from heartmula_studio.finetune.checkpoint_meta import META_FILE, CheckpointMeta
from heartmula_studio.finetune.events import DoneEvent, FailedEvent, StoppedEvent, last_event
from heartmula_studio.finetune.outcome import training_outcome
from heartmula_studio.finetune.recommendation import recommended_rung
from heartmula_studio.services.training.executor import WorkerEnd
from heartmula_studio.services.training.job_folder import CANCELLED, JobFolder
from heartmula_studio.services.training.job_records import moved_on
from heartmula_studio.services.training.progress import with_progress
from heartmula_studio.services.training.tokenizing_progress import read_progress
from heartmula_studio.store.records import Checkpoint, Failure, Job, JobStatus, Losses, Parent, utc_now
from heartmula_studio.store.store import Store

WEIGHT_SUFFIX = ".safetensors"
LITTLE_ROOM_BYTES = 1 << 20
UNKNOWN_END = WorkerEnd()
MAX_NODES_LOST = 10  # of one job: it may be what ends them
STORED_LATER = "Trained. The checkpoint is stored as soon as the disk allows it: make room, or let it be written to."
NO_ROOM = Failure("storage", "The disk is full, or the job's folder cannot be written.", "Make room, then resume it.")


@dataclass(frozen=True)
class JobOutcome:
    """The end of a job, for its record."""

    status: JobStatus
    message: str = ""
    error: Failure | None = None
    checkpoint_id: str | None = None
    learned: bool | None = None
    is_audible: bool | None = None
    recommended_step: int | None = None


def record_outcome(store: Store, job: Job, end: WorkerEnd = UNKNOWN_END) -> Job:
    """Bring the record of a running job whose worker is gone into its true state.

    One whose machine was lost is queued again, at its old place. Raises StorageError where the disk refuses; the job is
    then as it was.
    """
    folder = JobFolder(store.jobs.folder(job.id))
    note_tokens(store, job, folder)
    outcome = outcome_of(store, job, folder, end)
    if end.is_lost and outcome.status == "interrupted" and job.nodes_lost < MAX_NODES_LOST:
        return store.jobs.update(job.id, lambda job: moved_on(job, folder))
    return finish(store, job, outcome)


def finish(store: Store, job: Job, outcome: JobOutcome) -> Job:
    folder = JobFolder(store.jobs.folder(job.id))
    return store.jobs.update(job.id, lambda current: ended(current, folder, outcome))


def ended(job: Job, folder: JobFolder, outcome: JobOutcome) -> Job:
    """Return the record of a job that ended so."""
    return replace(
        with_progress(replace(job, status=outcome.status), folder),
        phase=None,
        eta_sec=None,
        worker=None,
        queue_position=None,
        message=outcome.message,
        error=outcome.error,
        checkpoint_id=outcome.checkpoint_id,
        learned=outcome.learned,
        is_audible=outcome.is_audible,
        recommended_step=outcome.recommended_step,
        finished_at=utc_now(),
    )


def unsettled(store: Store, job: Job, end: WorkerEnd) -> Job:
    """Return the true state of a job that cannot be settled yet because the disk refuses. Nothing is written."""
    folder = JobFolder(store.jobs.folder(job.id))
    if isinstance(last_event(folder.metrics), DoneEvent):
        return replace(with_progress(job, folder), phase="saving", message=STORED_LATER)
    return ended(job, folder, outcome_of(store, job, folder, end))


def outcome_of(store: Store, job: Job, folder: JobFolder, end: WorkerEnd) -> JobOutcome:
    """Read how the worker ended from what it left, publishing its checkpoint where it was done."""
    match last_event(folder.metrics):
        case DoneEvent() as done:
            return completed(store, job, folder, done)
        case StoppedEvent(step=step):
            return JobOutcome("interrupted", f"Stopped on request, saved at step {step}. {next_step(folder)}")
        case FailedEvent(error=error):
            return failed(Failure(error.code, error.message, error.hint))
    failure = folder.read_failure()
    if failure and failure.code == CANCELLED:
        return JobOutcome("interrupted", f"Stopped on request while listening to the songs. {next_step(folder)}")
    return failed(failure) if failure else died_silently(folder, end)


def completed(store: Store, job: Job, folder: JobFolder, done: DoneEvent) -> JobOutcome:
    recommended = recommended_rung(folder)
    source = folder.chosen_checkpoint(recommended.step if recommended else None)
    if (source / META_FILE).is_file():
        try:
            made = publish(store, job, folder, source)
        except CheckpointCorruptError as error:
            return failed(Failure(error.code, error.message, error.hint))
        learnt = training_outcome(done.initial_loss, done.best_loss, done.step, done.total_steps, recommended)
        return JobOutcome(
            "completed",
            f"{done.alarm} {learnt.message}".strip(),
            checkpoint_id=made.id,
            learned=learnt.learned,
            is_audible=learnt.is_audible,
            recommended_step=recommended.step if recommended else None,
        )
    return failed(Failure("checkpoint_missing", f"The run ended, but {source} is gone.", "Train again with a clone."))


def failed(failure: Failure) -> JobOutcome:
    return JobOutcome("failed", failure.message, failure)


def died_silently(folder: JobFolder, end: WorkerEnd) -> JobOutcome:
    """Explain the end of a worker that said nothing: killed, most likely, or it could not write."""
    exit_code = end.exit_code
    if exit_code == StorageError.exit_code or shutil.disk_usage(folder.path).free < LITTLE_ROOM_BYTES:
        return failed(NO_ROOM)
    last_word = last_words(folder.output)
    # On Windows a process that is killed has an exit code, too, but no last words.
    if exit_code is not None and exit_code > 0 and last_word and not re.search(r"\bSIG[A-Z]+\b", last_word):
        hint = "Resume it; worker.txt in its folder holds all it printed."
        return failed(Failure("training", f"The training process ended with code {exit_code}: {last_word}", hint))
    return JobOutcome("interrupted", f"The training process ended silently: {killer(end)}. {next_step(folder)}")


def killer(end: WorkerEnd) -> str:
    if end.is_lost:
        return "the machine that it ran on is lost"
    if end.exit_code is not None and end.exit_code < 0:
        return f"killed by signal {-end.exit_code}, perhaps because memory ran out"
    return "killed, perhaps because memory ran out"


def last_words(output: Path) -> str:
    try:
        with output.open("rb") as file:
            file.seek(max(file.seek(0, 2) - 2000, 0))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def next_step(folder: JobFolder) -> str:
    """Say what resuming would do."""
    saved = folder.saved_step()
    return "Resume starts it again." if saved is None else f"Resume goes on from step {saved}."


def publish(
    store: Store, job: Job, folder: JobFolder, source: Path, id: str | None = None, name: str | None = None
) -> Checkpoint:
    """Store the checkpoint in the folder `source`, under the job's id or another: doing it twice gives the one."""
    with suppress(NotFoundError):
        return store.checkpoints.get(id or job.id)
    return store.checkpoints.publish(source, checkpoint_record(store, job, folder, source, id or job.id, name))


def checkpoint_record(store: Store, job: Job, folder: JobFolder, source: Path, id: str, name: str | None) -> Checkpoint:
    meta, songs = CheckpointMeta.read(source), folder.read_songs()
    origin = job.dataset_id or None, job.catalogue
    number = 1 + sum((made.dataset_id, made.catalogue) == origin for made in store.checkpoints.list())
    return Checkpoint(
        id=id,
        name=name or songs.checkpoint_name or f"{job.dataset_name} {number}",
        styles=songs.styles,
        method=job.method,
        base_model=asdict(meta.base_model),
        dataset_id=job.dataset_id or None,
        catalogue=job.catalogue,
        job_id=job.id,
        size_bytes=sum(path.stat().st_size for path in source.glob(f"*{WEIGHT_SUFFIX}")),
        created_at=utc_now(),
        losses=Losses(**asdict(meta.losses)),
        rights=songs.rights(),
        recipe=meta.recipe(),
        parent=Parent(meta.parent.id, meta.parent.name) if meta.parent else None,
        trigger_word=meta.trigger_word,
        figures=asdict(meta.figures) if meta.figures else {},
    )


def note_tokens(store: Store, job: Job, folder: JobFolder) -> None:
    """Tell the dataset, if it is still there, which of its songs have tokens now and which cannot be used."""
    with suppress(NotFoundError):
        dataset = store.datasets.get(job.dataset_id)
        wanted = {song.filename: song.sha256 for song in folder.read_songs().songs}
        same = {file.filename for file in dataset.audio_files if wanted.get(file.filename) == file.sha256}
        for song in {progress.song: progress for progress in read_progress(folder.preprocess)}.values():
            if song.song in same and (song.frames is not None or song.error is not None):
                store.datasets.set_tokens(dataset.id, song.song, song.frames, song.error)
