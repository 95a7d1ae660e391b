"""Records of jobs: new ones, those queued again, begun or moved to another machine; and which of many are under way."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from heartmula_studio.services.training.job_folder import JobFolder
from heartmula_studio.services.training.progress import with_progress
from heartmula_studio.services.training.snapshot import Source
from heartmula_studio.store.records import UNDER_WAY, Dataset, ExecutorName, Job, utc_now

if TYPE_CHECKING:  # it brings torch
    from heartmula_studio.finetune.config import TrainConfig


def new_job(id: str, source: Source, config: "TrainConfig", device: str) -> Job:
    """The record of a job that is asked for."""
    now = utc_now()
    return Job(
        id=id,
        dataset_id=source.id if isinstance(source, Dataset) else "",
        dataset_name=source.name,
        catalogue="" if isinstance(source, Dataset) else source.name,
        method=config.method,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        lora_rank=config.lora.rank,
        base_model=config.base_model,
        device=device,
        config=config.to_dict(),
        created_at=now,
        phase="waiting",
        queued_at=now,
    )


def queued_again(job: Job, executor: ExecutorName) -> Job:
    """The record of a job that is to go on."""
    return replace(
        job,
        status="queued",
        phase="waiting",
        queued_at=utc_now(),
        executor=executor,
        message="",
        error=None,
        finished_at=None,
        nodes_lost=0,
    )


def begun(job: Job, folder: JobFolder, executor: ExecutorName, device: str) -> Job:
    """The record of a job whose worker is about to be started."""
    return replace(
        job,
        status="running",
        phase="training" if job.catalogue or folder.dataset.is_dir() else "tokenising",
        started_at=utc_now(),
        finished_at=None,
        worker=None,
        message="",
        executor=executor,
        device=device,
        queue_position=None,
    )


def moved_on(job: Job, folder: JobFolder) -> Job:
    """Return the record of a job that is to go on elsewhere, as the machine that it ran on is lost."""
    lost = job.worker.host if job.worker else "The machine"
    saved = folder.saved_step()
    goes_on = "starts again" if saved is None else f"goes on from step {saved}"
    return replace(
        with_progress(replace(job, status="queued"), folder),
        phase="waiting",
        eta_sec=None,
        worker=None,
        message=f"{lost} was lost; the job {goes_on} on another one.",
        nodes_lost=job.nodes_lost + 1,
    )


def under_way(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Those that are queued or run."""
    return tuple(job for job in jobs if job.status in UNDER_WAY)


def with_states(jobs: Sequence[Job], changed: Sequence[Job]) -> tuple[Job, ...]:
    """Jobs with some of them in the state that they are in by now."""
    by_id = {job.id: job for job in changed}
    return tuple(by_id.get(job.id, job) for job in jobs)
