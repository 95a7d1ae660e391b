"""Turns a finished worker into the job's final status, and its result into a checkpoint.

All of it may be done again: a server that is killed in the middle repeats it.
"""

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from heartmula_studio.errors import NotFoundError, StorageError
from heartmula_studio.files.jsonl import last_line, lines_after
from heartmula_studio.finetune.outcome import training_outcome
from heartmula_studio.services.training.job_folder import CANCELLED, JobFolder, read_json
from heartmula_studio.services.training.progress import number, whole, with_progress
from heartmula_studio.store.records import Checkpoint, Failure, Job, JobStatus, Losses, utc_now, validated
from heartmula_studio.store.store import Store

WEIGHT_SUFFIX = ".safetensors"
LITTLE_ROOM_BYTES = 1 << 20
STORED_LATER = "Trained. The checkpoint is stored as soon as the disk allows it: make room, or let it be written to."
NO_ROOM = Failure("storage", "The disk is full, or the job's folder cannot be written.", "Make room, then resume it.")


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended, for its record."""

    status: JobStatus
    message: str = ""
    error: Failure | None = None
    checkpoint_id: str | None = None
    learned: bool | None = None


def record_outcome(store: Store, job: Job, exit_code: int | None = None) -> Job:
    """Bring the record of a running job whose worker is gone into its true state.

    exit_code: the worker's, where it is known. Raises StorageError where the disk refuses; the job is then as it was.
    """
    folder = JobFolder(store.jobs.folder(job.id))
    note_tokens(store, job, folder)
    outcome = outcome_of(store, job, folder, exit_code)
    return finish(store, job, outcome)


def finish(store: Store, job: Job, outcome: JobOutcome) -> Job:
    folder = JobFolder(store.jobs.folder(job.id))
    return store.jobs.update(job.id, lambda current: ended(current, folder, outcome))


def ended(job: Job, folder: JobFolder, outcome: JobOutcome) -> Job:
    """The record of a job that ended so."""
    return replace(
        with_progress(replace(job, status=outcome.status), folder),
        phase=None,
        eta_sec=None,
        worker=None,
        message=outcome.message,
        error=outcome.error,
        checkpoint_id=outcome.checkpoint_id,
        learned=outcome.learned,
        finished_at=utc_now(),
    )


def unsettled(store: Store, job: Job, exit_code: int | None) -> Job:
    """The true state of a job that cannot be settled yet because the disk refuses. Nothing is written."""
    folder = JobFolder(store.jobs.folder(job.id))
    if last_line(folder.metrics).get("event") == "done":
        return replace(with_progress(job, folder), phase="saving", message=STORED_LATER)
    return ended(job, folder, outcome_of(store, job, folder, exit_code))


def outcome_of(store: Store, job: Job, folder: JobFolder, exit_code: int | None) -> JobOutcome:
    """Read how the worker ended from what it left, publishing its checkpoint where it was done."""
    line = last_line(folder.metrics)
    if line.get("event") == "done":
        return completed(store, job, folder)
    if line.get("event") == "stopped":
        return JobOutcome("interrupted", f"Stopped on request, saved at step {line.get('step')}. {next_step(folder)}")
    if line.get("event") == "failed":
        return failed(validated(Failure, line.get("error"), folder.metrics))
    failure = folder.read_failure()
    if failure and failure.code == CANCELLED:
        return JobOutcome("interrupted", f"Stopped on request while listening to the songs. {next_step(folder)}")
    return failed(failure) if failure else died_silently(folder, exit_code)


def completed(store: Store, job: Job, folder: JobFolder) -> JobOutcome:
    source = folder.best_checkpoint()
    if (source / "meta.json").is_file():
        made, done = publish(store, job, folder, source), last_line(folder.metrics)
        learnt = training_outcome(made.losses.initial, made.losses.best, done["step"], done.get("total_steps"))
        return JobOutcome("completed", learnt.message, checkpoint_id=made.id, learned=learnt.learned)
    return failed(Failure("checkpoint_missing", f"The run ended, but {source} is gone.", "Train again with a clone."))


def failed(failure: Failure) -> JobOutcome:
    return JobOutcome("failed", failure.message, failure)


def died_silently(folder: JobFolder, exit_code: int | None) -> JobOutcome:
    """The worker said nothing: killed, most likely, or it could not write."""
    if exit_code == StorageError.exit_code or shutil.disk_usage(folder.path).free < LITTLE_ROOM_BYTES:
        return failed(NO_ROOM)
    last_word = last_words(folder.output)
    if exit_code is not None and exit_code > 0 and not re.search(r"\bSIG[A-Z]+\b", last_word):
        hint = "Resume it; worker.txt in its folder holds all it printed."
        return failed(Failure("training", f"The training process ended with code {exit_code}: {last_word}", hint))
    return JobOutcome(
        "interrupted", f"The training process ended without a word: {killer(exit_code)}. {next_step(folder)}"
    )


def killer(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by signal {-exit_code}, perhaps for want of memory"
    return "killed, perhaps for want of memory"


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
    saved = sorted(path.name for path in (folder.path / "state").glob("step-*"))
    return f"Resume goes on from step {int(saved[-1].removeprefix('step-'))}." if saved else "Resume starts it again."


def publish(store: Store, job: Job, folder: JobFolder, source: Path) -> Checkpoint:
    """Store the checkpoint in the folder `source`, under the job's id: doing it twice gives the one."""
    with suppress(NotFoundError):
        return store.checkpoints.get(job.id)
    return store.checkpoints.publish(source, checkpoint_record(store, job, folder, source))


def checkpoint_record(store: Store, job: Job, folder: JobFolder, source: Path) -> Checkpoint:
    meta, songs = read_json(source / "meta.json"), folder.read_songs()
    number = 1 + sum(checkpoint.dataset_id == job.dataset_id for checkpoint in store.checkpoints.list())
    names = ("config", "versions", "step", "total_steps", "epochs", "songs", "held_out_songs")
    return Checkpoint(
        id=job.id,
        name=songs.checkpoint_name or f"{job.dataset_name} {number}",
        styles=songs.styles,
        method=job.method,
        base_model=meta["base_model"],
        dataset_id=job.dataset_id,
        job_id=job.id,
        size_bytes=sum(path.stat().st_size for path in source.glob(f"*{WEIGHT_SUFFIX}")),
        created_at=utc_now(),
        losses=Losses(**meta["losses"]),
        rights=songs.rights(),
        recipe={name: meta[name] for name in names},
    )


def note_tokens(store: Store, job: Job, folder: JobFolder) -> None:
    """Tell the dataset, if it is still there, which of its songs have tokens now and which cannot be used."""
    with suppress(NotFoundError):
        dataset = store.datasets.get(job.dataset_id)
        wanted = {song.filename: song.sha256 for song in folder.read_songs().songs}
        same = {file.filename for file in dataset.audio_files if wanted.get(file.filename) == file.sha256}
        for filename, line in {str(line.get("song")): line for _, line in lines_after(folder.preprocess, 0)}.items():
            frames, error = whole(number(line, "frames")), line.get("error")
            if filename in same and (frames is not None or isinstance(error, str)):
                store.datasets.set_tokens(dataset.id, filename, frames, error)
