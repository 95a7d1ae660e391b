"""The studio's use cases under stable names for `gradio_client`; what they return is what REST returns."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Literal

import gradio as gr
from gradio.events import api
from pydantic_core import to_jsonable_python

from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.services.answers import answer
from heartmula_studio.store.records import UNDER_WAY, Job
from heartmula_studio.store.views import AuditionQuestion
from heartmula_studio.studio import Studio
from heartmula_studio.ui.checkpoint_endpoints import CheckpointEndpoints
from heartmula_studio.ui.dataset_endpoints import DatasetEndpoints
from heartmula_studio.ui.endpoint_calls import call, in_thread
from heartmula_studio.ui.files import served_copy, served_file, served_stream
from heartmula_studio.ui.hub_endpoints import HubEndpoints
from heartmula_studio.ui.song_endpoints import SongEndpoints

POLL_SEC = 0.5


def add_endpoints(studio: Studio) -> None:
    """Add every public method of the endpoints to the Blocks being built, named as the method is."""
    for kind in (Endpoints, DatasetEndpoints, SongEndpoints, CheckpointEndpoints, HubEndpoints):
        endpoints = kind(studio)
        for name, function in inspect.getmembers(endpoints, inspect.ismethod):
            if not name.startswith("_"):
                api(function, api_name=name, concurrency_limit=None)


class Endpoints:
    """One method an endpoint; its signature and docstring are what a client sees."""

    def __init__(self, studio: Studio):
        self._studio = studio

    async def health(self) -> dict:
        """Version, device, base model, active checkpoint, running job."""
        return await call(self._studio.health)

    async def list_models(self) -> list[dict]:
        """The models that can be downloaded: size, licence, free disk, and what is here of each."""
        return await call(self._studio.models.list)

    async def download_model(self, name: str) -> dict:
        """Download a model from the Hugging Face Hub, or go on where a download ended."""
        return await call(self._studio.models.download, name)

    async def cancel_model(self, name: str) -> dict:
        """Stop a download or verification; what has come stays."""
        return await call(self._studio.models.cancel, name)

    async def verify_model(self, name: str) -> dict:
        """Hash all files of a model, and remove those that are not as the Hub has them."""
        return await call(self._studio.models.verify, name)

    async def remove_model(self, name: str) -> None:
        """Remove what was downloaded of a model."""
        await call(self._studio.models.remove, name)

    async def list_catalogues(self) -> list[str]:
        """Names of the catalogues that trainings may learn from."""
        return await call(self._studio.catalogues.names)

    async def start_training(
        self,
        dataset_id: str = "",
        method: Literal["lora", "full"] = "lora",
        epochs: int = TrainConfig.epochs,
        learning_rate: float | None = None,
        lora_rank: int | None = None,
        settings: dict | None = None,
        catalogue: str = "",
    ) -> dict:
        """Queue a training on a dataset or, by its name, on a catalogue.

        `settings` may hold any other setting that POST /training/jobs takes.
        Left out, the learning rate is that which suits the method and the base model, and the rank 8 or, with
        `start_from`, that of the style which is trained further.
        """
        named = {"epochs": epochs, "learning_rate": learning_rate, "lora_rank": lora_rank} | (settings or {})
        source = {"dataset_id": dataset_id, "catalogue": catalogue, "method": method}
        return await call(self._studio.jobs.start, **named | source)

    async def estimate_training(
        self,
        dataset_id: str,
        method: Literal["lora", "full"] = "lora",
        epochs: int = TrainConfig.epochs,
        learning_rate: float | None = None,
        lora_rank: int | None = None,
        settings: dict | None = None,
    ) -> dict:
        """Estimate what `start_training` would take: steps, time, memory, disk, and any problems."""
        named = {"epochs": epochs, "learning_rate": learning_rate, "lora_rank": lora_rank} | (settings or {})
        return await call(self._studio.planning.estimate, **named | {"dataset_id": dataset_id, "method": method})

    async def presets(self, dataset_id: str, method: Literal["lora", "full"] = "lora") -> list[dict]:
        """Fast, Balanced and Thorough: settings for `start_training`, with the steps and seconds that they take."""
        return await call(self._studio.planning.presets, dataset_id, method)

    async def watch_job(self, job_id: str) -> AsyncIterator[dict]:
        """Yield the job, with its progress and losses, whenever it has on_change, until it ends."""
        last: Job | None = None
        while last is None or last.status in UNDER_WAY:
            job = await in_thread(self._studio.jobs.get, job_id)
            if job != last:
                yield to_jsonable_python(answer(job))
            last = job
            await asyncio.sleep(POLL_SEC)

    async def list_jobs(self) -> list[dict]:
        """All jobs, oldest first."""
        return await call(self._studio.jobs.list)

    async def get_job(self, job_id: str) -> dict:
        """One job with its progress."""
        return await call(self._studio.jobs.get, job_id)

    async def job_metrics(self, job_id: str) -> list[dict]:
        """Everything measured so far: steps, evaluations, the end."""
        return await call(self._studio.jobs.metrics, job_id)

    async def job_logs(self, job_id: str, offset: int = 0) -> tuple[str, int]:
        """The log from an offset in bytes, and the offset to go on from."""
        return tuple(await call(self._studio.jobs.logs, job_id, offset))

    async def stop_job(self, job_id: str, save: bool = True) -> dict:
        """Stop a job: after its step, saved and resumable, or at once."""
        return await call(self._studio.jobs.stop, job_id, save)

    async def resume_job(self, job_id: str) -> dict:
        """Queue a stopped or failed job again; it goes on from its last saved step."""
        return await call(self._studio.jobs.resume, job_id)

    async def clone_job(self, job_id: str, changes: dict | None = None) -> dict:
        """Queue a new job with the settings of this one, and what is changed."""
        return await call(self._studio.jobs.clone, job_id, **changes or {})

    async def delete_job(self, job_id: str) -> None:
        """Delete a job that is not running; what it trained stays."""
        await call(self._studio.jobs.delete, job_id)

    async def list_rungs(self, job_id: str) -> dict:
        """The base and the checkpoints that a job has kept along the way, with figures, and which is recommended."""
        return await call(self._studio.ladder.get, job_id)

    async def preview_rung(self, job_id: str, step: int, number: int = 0) -> gr.FileData:
        """A song of a rung; step 0 is the base. Of one number, all have the same prompt and seed."""
        return await in_thread(lambda: served_file(self._studio.ladder.preview(job_id, step, number)))

    async def star_rung(self, job_id: str, step: int, starred: bool = True) -> dict:
        """Mark a rung, or take the mark away."""
        return await call(self._studio.ladder.star, job_id, step, starred)

    async def keep_rung(self, job_id: str, step: int, name: str | None = None) -> dict:
        """Make a rung a style, which stays when the job is deleted."""
        return await call(self._studio.ladder.keep, job_id, step, name)

    async def activate_rung(self, job_id: str, step: int, strength: float = 1.0) -> dict:
        """Keep a rung as a style, and give every song from now on this style."""
        return await call(self._studio.ladder.activate, job_id, step, strength)

    async def download_rung(self, job_id: str, step: int) -> gr.FileData:
        """A rung as one .zip, which `import_checkpoint` takes in anywhere else."""
        filename, chunks = await in_thread(self._studio.ladder.download, job_id, step)
        return await in_thread(served_stream, filename, chunks)

    async def start_audition(
        self, job_id: str, step: int, trials: int = 8, question: AuditionQuestion = "told"
    ) -> dict:
        """Draw pairs of songs, by the base and by a rung; which is which is told at the end."""
        return await call(self._studio.auditions.start, job_id, step, trials, question)

    async def list_auditions(self, job_id: str) -> list[dict]:
        """All auditions of a job, oldest first."""
        return await call(self._studio.auditions.list, job_id)

    async def get_audition(self, job_id: str, audition_id: str) -> dict:
        """One audition; its result comes with the last vote."""
        return await call(self._studio.auditions.get, job_id, audition_id)

    async def audition_audio(self, job_id: str, audition_id: str, trial: int, side: Literal["a", "b"]) -> gr.FileData:
        """One of the two songs of a trial."""
        return await in_thread(
            lambda: served_copy(self._studio.auditions.audio(job_id, audition_id, trial, side), f"{trial}-{side}.flac")
        )

    async def vote(self, job_id: str, audition_id: str, trial: int, choice: Literal["a", "b"]) -> dict:
        """Say which song of a trial is the trained one; until all votes are in, it may be changed."""
        return await call(self._studio.auditions.vote, job_id, audition_id, trial, choice)

    async def list_styles(self) -> dict:
        """The tags the model knows best, your own ones, and the trained styles."""
        return await call(self._studio.tags.list)

    async def add_style(self, name: str) -> dict:
        """Remember a tag of your own."""
        return await call(self._studio.tags.add, name)

    async def remove_style(self, name: str) -> dict:
        """Forget a tag of your own."""
        return await call(self._studio.tags.remove, name)
