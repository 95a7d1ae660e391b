"""The studio's use cases under stable names for `gradio_client`; what they return is what REST returns."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

import gradio as gr
from gradio.events import api
from pydantic_core import to_jsonable_python

from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.services.answers import answer
from heartmula_studio.store.records import UNDER_WAY, Job, ProposalStatus
from heartmula_studio.store.track_changes import TrackChange
from heartmula_studio.store.views import AnalysisKind, AuditionQuestion
from heartmula_studio.studio import Studio
from heartmula_studio.ui.checkpoint_endpoints import CheckpointEndpoints
from heartmula_studio.ui.endpoint_calls import call, in_thread
from heartmula_studio.ui.files import served_copy, served_file, served_stream, uploaded_file
from heartmula_studio.ui.hub_endpoints import HubEndpoints
from heartmula_studio.ui.page_context import user_errors
from heartmula_studio.ui.song_endpoints import SongEndpoints

POLL_SEC = 0.5


def add_endpoints(studio: Studio) -> None:
    """Add every public method of the endpoints to the Blocks being built, named as the method is."""
    for endpoints in (Endpoints(studio), SongEndpoints(studio), CheckpointEndpoints(studio), HubEndpoints(studio)):
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

    async def list_datasets(self) -> list[dict]:
        """All datasets with their songs, oldest first."""
        return await call(self._studio.datasets.list)

    async def create_dataset(self, name: str, styles: list[str] | None = None) -> dict:
        """Make an empty dataset."""
        return await call(self._studio.datasets.create, name, styles or [])

    async def create_example_dataset(self) -> dict:
        """Make a dataset of the six clips that come along, to try everything with."""
        return await call(self._studio.datasets.create_examples)

    async def get_dataset(self, dataset_id: str) -> dict:
        """One dataset with its songs."""
        return await call(self._studio.datasets.get, dataset_id)

    async def update_dataset(self, dataset_id: str, name: str | None = None, styles: list[str] | None = None) -> dict:
        """Rename or restyle a dataset."""
        return await call(self._studio.datasets.update, dataset_id, name, styles)

    async def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset with its files; refused while a job uses it."""
        await call(self._studio.datasets.delete, dataset_id)

    async def import_dataset(
        self, file: gr.FileData, name: str = "", styles: list[str] | None = None, split: str = ""
    ) -> dict:
        """Make a dataset of a .zip or .tar of songs, or a .parquet; `skipped` says what could not be used."""
        with user_errors(str):
            path, filename = uploaded_file(file)
        return await call(self._studio.datasets.import_upload, path, filename, name, styles or [], split)

    async def export_dataset(
        self, dataset_id: str, format: Literal["folder", "parquet", "webdataset"] = "folder"
    ) -> gr.FileData:
        """Songs, lyrics, tags and rights as one file, which `import_dataset` takes in; a folder comes as a zip."""
        filename, pieces = await in_thread(self._studio.datasets.export, dataset_id, format)
        return await in_thread(served_stream, filename, pieces)

    async def upload_audio(
        self,
        dataset_id: str,
        file: gr.FileData,
        caption: str = "",
        tags: list[str] | None = None,
        rights: Literal["own", "licensed", "public_domain", "unknown"] = "unknown",
    ) -> dict | None:
        """Add a song, or a .txt with the lyrics of one; None where the lyrics wait for their song."""
        with user_errors(str):
            path, name = uploaded_file(file)
        return await call(self._studio.datasets.add_file, dataset_id, path, name, caption, tags or [], rights)

    async def update_audio(
        self,
        dataset_id: str,
        filename: str,
        caption: str | None = None,
        tags: list[str] | None = None,
        rights: Literal["own", "licensed", "public_domain", "unknown"] | None = None,
        ending: Literal["as_heard", "ends", "cut_off"] | None = None,
    ) -> dict:
        """Edit a song's lyrics, tags and rights, and say whether the recording comes to an end."""
        return await call(self._studio.datasets.update_audio, dataset_id, filename, caption, tags, rights, ending)

    async def update_tracks(
        self,
        dataset_id: str,
        filenames: list[str],
        add_tags: list[str] | None = None,
        remove_tags: list[str] | None = None,
        trigger_word: str = "",
        tags: list[str] | None = None,
        rights: Literal["own", "licensed", "public_domain", "unknown"] | None = None,
        ending: Literal["as_heard", "ends", "cut_off"] | None = None,
        caption: str | None = None,
    ) -> list[dict]:
        """Edit many songs in one way, all or none. The trigger word is a tag that is put before all others."""
        change = TrackChange("", caption, tags, rights, ending, add_tags or (), remove_tags or (), trigger_word)
        changes = [replace(change, filename=filename) for filename in filenames]
        return await call(self._studio.datasets.update_tracks, dataset_id, changes)

    async def clean_tracks(
        self,
        dataset_id: str,
        filenames: list[str] | None = None,
        trim_silence: bool = True,
        loudness_lufs: float | None = None,
    ) -> list[dict]:
        """Trim silence and set the loudness of songs, all where none is named. Their originals stay."""
        datasets = self._studio.datasets
        return await call(
            lambda: [*datasets.clean_tracks(dataset_id, filenames or (), CleanSettings(trim_silence, loudness_lufs))]
        )

    async def restore_tracks(self, dataset_id: str, filenames: list[str] | None = None) -> list[dict]:
        """Take back how songs were cleaned, all where none is named."""
        return await call(lambda: [*self._studio.datasets.restore_tracks(dataset_id, filenames or ())])

    async def discard_originals(self, dataset_id: str, filenames: list[str] | None = None) -> list[dict]:
        """Remove what songs were cleaned from, for good; of all where none is named."""
        return await call(lambda: [*self._studio.datasets.discard_originals(dataset_id, filenames or ())])

    async def remove_audio(self, dataset_id: str, filename: str) -> None:
        """Remove a song and its tokens."""
        await call(self._studio.datasets.remove_audio, dataset_id, filename)

    async def hear(self, dataset_id: str, filename: str) -> tuple[gr.FileData, float]:
        """The first minute of a song as the model hears it, and its log-mel distance (0 is perfect)."""
        heard = await in_thread(self._studio.datasets.preview_round_trip, dataset_id, filename)
        return await in_thread(served_file, heard.path), heard.log_mel

    async def validate_dataset(self, dataset_id: str) -> dict:
        """Check whether the dataset can be trained on, and what is missing."""
        return await call(self._studio.datasets.validate, dataset_id)

    async def preprocess(self, dataset_id: str) -> dict:
        """Turn the songs into tokens now; training does it by itself where it was not done."""
        return await call(self._studio.datasets.preprocess, dataset_id)

    async def track_losses(self, dataset_id: str) -> dict:
        """The base model's own loss on each track, the highest first: where lyrics or tags are wrong, it is high."""
        return await call(self._studio.datasets.track_losses, dataset_id)

    async def check_sound(self, dataset_id: str) -> dict:
        """Loudness, silence at both ends, clipping, phase, DC offset and duplicates in any format, track by track."""
        return await call(self._studio.datasets.check_sound, dataset_id)

    async def preview_prompt(self, dataset_id: str, filename: str) -> dict:
        """The tags and lyrics that a training would read of a song, window by window, and the lines left out."""
        return await call(self._studio.datasets.preview_prompt, dataset_id, filename)

    async def find_tempo_and_key(self, dataset_id: str) -> dict:
        """Propose tempo and key of each song as tags; none changes before its proposal is accepted."""
        return await call(self._studio.datasets.find_tempo_and_key, dataset_id)

    async def start_analysis(
        self,
        dataset_id: str,
        kind: AnalysisKind = "tempo_and_key",
        model: str = "",
        language: str = "",
        separate_vocals: bool | None = None,
        separator: str = "",
    ) -> dict:
        """Have a program listen to all songs in the background, and propose what it finds; nothing else changes."""
        settings = model, language, separate_vocals, separator
        return await call(self._studio.datasets.start_analysis, dataset_id, kind, *settings)

    async def get_analysis(self, dataset_id: str, kind: AnalysisKind = "tempo_and_key") -> dict:
        """How far an analysis is, and which songs it could not listen to; what it proposes is with the songs."""
        return await call(self._studio.datasets.get_analysis, dataset_id, kind)

    async def cancel_analysis(self, dataset_id: str, kind: AnalysisKind = "tempo_and_key") -> dict:
        """Stop an analysis within moments; what it has proposed stays."""
        return await call(self._studio.datasets.cancel_analysis, dataset_id, kind)

    async def decide_proposal(
        self, dataset_id: str, filename: str, number: int, status: ProposalStatus = "accepted"
    ) -> dict:
        """Accept or reject what was proposed for a song; "open" undoes that."""
        return await call(self._studio.datasets.decide_proposal, dataset_id, filename, number, status)

    async def decide_proposals(self, dataset_id: str, status: ProposalStatus = "accepted") -> dict:
        """Accept or reject all open proposals of a dataset; "open" undoes all that was decided."""
        return await call(self._studio.datasets.decide_proposals, dataset_id, status)

    async def start_training(
        self,
        dataset_id: str,
        method: Literal["lora", "full"] = "lora",
        epochs: int = TrainConfig.epochs,
        learning_rate: float | None = None,
        lora_rank: int | None = None,
        settings: dict | None = None,
    ) -> dict:
        """Queue a training. `settings` may hold any other setting that POST /training/jobs takes.

        Left out, the learning rate is that which suits the method and the base model, and the rank 8 or, with
        `start_from`, that of the style which is trained further.
        """
        named = {"epochs": epochs, "learning_rate": learning_rate, "lora_rank": lora_rank} | (settings or {})
        return await call(self._studio.jobs.start, **named | {"dataset_id": dataset_id, "method": method})

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
