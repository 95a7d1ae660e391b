"""The Studio: the store, the job queue and the engine of one installation; every use case is one method.

REST, page, `gradio_client` and shell are thin over it, so that a button and an endpoint cannot drift apart.
"""

import dataclasses
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartmula_studio import __version__
from heartmula_studio.errors import ConflictError, StorageError, StudioError
from heartmula_studio.files.public_text import hide_folder
from heartmula_studio.generate.request import SongRequest, seed_or_new
from heartmula_studio.services.devices import QUEUE_LOCK, Devices
from heartmula_studio.services.training.queue import JobQueue
from heartmula_studio.settings import Settings
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.records import UNDER_WAY, AudioFile, Checkpoint, Dataset, Generation, Job
from heartmula_studio.store.songs import validation
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import (
    Estimate,
    Health,
    ImportedDataset,
    RoundTrip,
    StyleList,
    TrainedStyle,
    Validation,
)

if TYPE_CHECKING:  # they bring torch
    import datasets

    from heartmula_studio.finetune.config import TrainConfig
    from heartmula_studio.services.workshop import Workshop

_log = logging.getLogger(__name__)


class Studio:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done."""

    def __init__(self, settings: Settings, store: Store):
        """Nothing runs yet; `open` starts what works in the background."""
        self.settings, self.store = settings, store
        for folder in (settings.checkpoints_dir, Path(settings.base_model)):
            if folder:
                hide_folder(folder)
        self._devices = Devices(store)
        self._jobs = JobQueue(
            store, self._devices, max_song_sec=settings.max_song_sec, accelerate_config=settings.accelerate_config
        )
        self._loading = threading.Lock()
        self._workshop: Workshop | None = None
        self._is_open = False

    @classmethod
    def open(cls, settings: Settings) -> "Studio":
        """Open the data folder, put right what a crash left, and go on with what was waiting.

        What needs torch, the making of songs among it, waits for `warm_up`, or until it is needed. Raises StorageError.
        """
        store = Store(settings.data_dir, settings.max_upload_bytes, settings.max_files)
        store.recover()
        studio = cls(settings, store)
        studio._is_open = True
        studio._jobs.start()
        return studio

    def warm_up(self) -> None:
        """Load what needs torch in the background; what is wrong with it is said again when it is needed."""
        threading.Thread(target=self._load, name="loading", daemon=True).start()

    def close(self) -> None:
        """Stop what runs in this process; training goes on in its own."""
        self._is_open = False
        if self._workshop:
            self._workshop.close()
        self._jobs.close()

    @property
    def workshop(self) -> "Workshop":
        """What needs torch, loaded now unless it is loaded. Raises as `Workshop`."""
        with self._loading:
            if self._workshop is None:
                from heartmula_studio.services.workshop import Workshop

                self._workshop = Workshop(self.settings, self.store, self._devices)
                if self._is_open:
                    self._workshop.start()
            return self._workshop

    def _load(self) -> None:
        try:
            self.workshop  # noqa: B018
        except StudioError as error:
            _log.error("The base model cannot be used: %s", error)

    # --- datasets --------------------------------------------------------------------------------------------------

    def list_datasets(self) -> list[Dataset]:
        return self.store.datasets.list()

    def create_dataset(self, name: str, styles: Sequence[str] = ()) -> Dataset:
        return self.store.datasets.create_dataset(name, styles)

    def get_dataset(self, id: str) -> Dataset:
        return self.store.datasets.get(id)

    def update_dataset(self, id: str, name: str | None = None, styles: Sequence[str] | None = None) -> Dataset:
        return self.store.datasets.rename(id, name, styles)

    def delete_dataset(self, id: str) -> None:
        """Delete it with its files. Raises ConflictError while a job needs it."""
        with self.store.lock(QUEUE_LOCK):
            dataset = self.store.datasets.get(id)
            self._jobs.require_free(dataset, f"The dataset {dataset.name!r}")
            self.store.datasets.delete(id)

    def receive(self, id: str, filename: str) -> AbstractContextManager[Incoming]:
        """Take in a file piece by piece; give it to `add_upload` inside the block, or it vanishes."""
        return self.store.datasets.receive(id, filename)

    def add_upload(
        self, id: str, incoming: Incoming, caption: str = "", tags: Sequence[str] = (), rights: str = "unknown"
    ) -> AudioFile | None:
        """Add a received song, or lyrics for one; None where the lyrics wait for their song.

        Raises AudioError for what cannot be learnt from, InvalidInputError, ConflictError for a song twice.
        """
        return self.workshop.intake.add_upload(id, incoming, caption, tags, rights)

    def add_file(
        self,
        id: str,
        path: str | Path,
        filename: str | None = None,
        caption: str = "",
        tags: Sequence[str] = (),
        rights: str = "unknown",
    ) -> AudioFile | None:
        """Add a copy of a local file, as `add_upload`."""
        return self.workshop.intake.add_file(id, Path(path), filename, caption, tags, rights)

    def audio_path(self, id: str, filename: str) -> Path:
        return self.store.datasets.audio_path(id, filename)

    def update_audio(
        self,
        id: str,
        filename: str,
        caption: str | None = None,
        tags: Sequence[str] | None = None,
        rights: str | None = None,
    ) -> AudioFile:
        return self.store.datasets.update_audio(id, filename, caption, tags, rights)

    def remove_audio(self, id: str, filename: str) -> None:
        """Remove a song. Raises ConflictError while a job needs it."""
        with self.store.lock(QUEUE_LOCK):
            self._jobs.require_free(self.store.datasets.get(id), filename)
            self.store.datasets.remove_audio(id, filename)

    def validate_dataset(self, id: str) -> Validation:
        return validation(self.store.datasets.get(id))

    def preprocess(self, id: str) -> Dataset:
        """Tokenize in the background what is not tokenized yet."""
        return self.workshop.tokenizer.start(id)

    def preview_round_trip(self, id: str, filename: str) -> RoundTrip:
        """Turn a song into tokens and back, at most its first minute; done once for each codec.

        Raises NotFoundError, AudioError, and ConflictError while the device has no room for it.
        """
        return self.workshop.round_trips.preview_round_trip(id, filename)

    def as_hf_dataset(self, id: str) -> "datasets.Dataset":
        """The songs as training reads them: `song`, `audio`, `lyrics`, `tags`, `codes` and `codec`, one row each.

        Raises ConflictError while songs are not tokenized.
        """
        return self.workshop.as_hf_dataset(self.store.datasets.get(id))

    def export_to_folder(self, id: str, folder: str | Path) -> None:
        """Write the audio files and a metadata.jsonl, as `datasets` reads an audiofolder."""
        self.workshop.exchange.export_to_folder(id, Path(folder))

    def export_to_parquet(self, id: str, path: str | Path) -> None:
        self.workshop.exchange.export_to_file(id, "parquet", Path(path))

    def export_to_hub(self, id: str, repo_id: str, private: bool = True) -> None:
        self.workshop.push_to_hub(self.store.datasets.get(id), repo_id, private)

    def import_dataset(
        self, source: str | Path, name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportedDataset:
        """Make a dataset of what lies on this machine, or of user/name on the Hub. All songs come in, or none."""
        return self.workshop.exchange.import_local(source, name, styles, split)

    def create_example_dataset(self) -> Dataset:
        """Make a dataset of the six clips that come along, to try everything with."""
        return self.workshop.exchange.create_example_dataset()

    # --- training --------------------------------------------------------------------------------------------------

    def create_job(self, dataset_id: str, method: str = "lora", **settings: Any) -> Job:
        """Queue a training run with the trainer's own settings; those of the LoRA are called `lora_rank` and so on.

        Raises InvalidInputError for too few songs ("3 of 5"), or a setting outside what is allowed.
        """
        return self._queue_job(dataset_id, self.workshop.train_config(method, settings))

    def default_learning_rate(self, method: str) -> float:
        """That of a training here which is given none: it suits the method and the size of the base."""
        return self.workshop.train_config(method, {}).learning_rate

    def estimate_job(self, dataset_id: str, method: str = "lora", **settings: Any) -> Estimate:
        """Say what `create_job` would start: steps, time, memory and disk, and what stands in its way.

        Nothing is started. Raises as `create_job`, but counts too few songs among the problems.
        """
        dataset = self.store.datasets.get(dataset_id)
        return self.workshop.estimator.estimate(dataset, self.workshop.train_config(method, settings))

    def list_jobs(self) -> list[Job]:
        return self._jobs.list()

    def get_job(self, id: str) -> Job:
        return self._jobs.view(id)

    def cancel_job(self, id: str, save: bool = True) -> Job:
        """Stop a job, after saving what it has learnt or without."""
        return self._jobs.stop(id, save)

    def resume_job(self, id: str) -> Job:
        return self._jobs.resume(id)

    def clone_job(self, id: str, /, **changes: Any) -> Job:
        """Queue the same job again, with other settings where `changes` says so."""
        job = self._jobs.view(id)
        dataset_id, method = changes.pop("dataset_id", job.dataset_id), changes.pop("method", job.method)
        return self._queue_job(dataset_id, self.workshop.changed_config(job, method, changes))

    def delete_job(self, id: str) -> None:
        self._jobs.delete(id)

    def job_logs(self, id: str, offset: int = 0) -> tuple[str, int]:
        """The log from a byte offset, and the offset to go on from."""
        return self._jobs.logs(id, offset)

    def job_metrics(self, id: str) -> list[dict[str, Any]]:
        return self._jobs.metrics(id)

    def job_events(
        self, id: str, after: int = 0, stopped: threading.Event | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (event id, line of metrics) as they come, until the job ends or `stopped` is set."""
        return self._jobs.events(id, after, stopped)

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def list_checkpoints(self) -> list[Checkpoint]:
        return [self._with_activity(checkpoint) for checkpoint in self.store.checkpoints.list()]

    def get_checkpoint(self, id: str) -> Checkpoint:
        return self._with_activity(self.store.checkpoints.get(id))

    def activate(self, id: str, strength: float = 1.0) -> Checkpoint:
        """Make every song from the next one on in this style, of 0 to 2 times its strength.

        Raises CheckpointError where it does not fit the base, saying why.
        """
        self.workshop.engine.choose(id, strength)
        return self.get_checkpoint(id)

    def deactivate(self, id: str) -> Checkpoint:
        """Make songs with the base alone again. Raises ConflictError where another style is active, or none."""
        if not self.get_checkpoint(id).is_active:
            raise ConflictError("This checkpoint is not active.", "List the checkpoints to see which is.")
        self.store.checkpoints.set_active(None)
        return self.get_checkpoint(id)

    def delete_checkpoint(self, id: str) -> None:
        """Raises ConflictError while it is active."""
        self.store.checkpoints.delete(id)

    def download_checkpoint(self, id: str) -> tuple[str, Iterator[bytes]]:
        """A file name, and the checkpoint as one zip file piece by piece."""
        return self.store.checkpoints.export(id)

    def import_checkpoint(
        self, path: str | Path, name: str, styles: Sequence[str] = (), filename: str | None = None
    ) -> Checkpoint:
        """Take in a LoRA in PEFT's format, or a full checkpoint, from a zip file. Only safetensors are accepted.

        `filename` is what errors call it, its own name by default. Without `styles`, the archive's own are kept, as its
        losses, rights and recipe are.
        """
        return self.workshop.import_checkpoint(Path(path), filename or Path(path).name, name, tuple(styles))

    # --- songs -----------------------------------------------------------------------------------------------------

    def generate(
        self,
        tags: str = "",
        lyrics: str = "",
        duration_sec: float = 60.0,
        seed: int | None = None,
        temperature: float = 1.0,
        topk: int = 50,
        cfg_scale: float = 1.5,
        format: str = "wav",
        style: str = "active",
        strength: float | None = None,
    ) -> Generation:
        """Queue a song. Without a seed, a new one is drawn.

        style: "active" is what is active when its turn comes, "base" the base alone, else a checkpoint's id, which is
        then used for this song only, at `strength` (1 unless given).
        Raises InvalidInputError, NotFoundError, and CheckpointError where the style does not fit the base.
        """
        request = SongRequest(tags, lyrics, duration_sec, seed_or_new(seed), temperature, topk, cfg_scale)
        return self.workshop.desk.order(request, format, style, strength)

    def compare(
        self,
        checkpoint_id: str,
        tags: str = "",
        lyrics: str = "",
        duration_sec: float = 60.0,
        seed: int | None = None,
        temperature: float = 1.0,
        topk: int = 50,
        cfg_scale: float = 1.5,
        format: str = "wav",
        strength: float | None = None,
    ) -> tuple[Generation, Generation]:
        """Queue one song twice, of one seed: made by the base alone, and in a style. Raises as `generate`."""
        request = SongRequest(tags, lyrics, duration_sec, seed_or_new(seed), temperature, topk, cfg_scale)
        return self.workshop.desk.order_pair(request, format, checkpoint_id, strength)

    def list_generations(self) -> list[Generation]:
        return self.store.generations.list()

    def get_generation(self, id: str) -> Generation:
        return self.store.generations.get(id)

    def song_path(self, id: str, format: str | None = None) -> Path:
        """The finished song's file; in another format than it was made in, it is kept beside it from then on.

        Raises ConflictError while there is none, InvalidInputError for a format that is none.
        """
        self.store.generations.require_completed(id)
        path = self.store.generations.song_path(id, format)
        return path if format is None or path.is_file() else self.workshop.desk.convert(id, format)

    def cancel_generation(self, id: str) -> Generation:
        return self.workshop.songs.cancel(id)

    def delete_generation(self, id: str) -> None:
        """Raises ConflictError while it is being made."""
        if self.store.generations.get(id).status in UNDER_WAY:
            raise ConflictError("The song is being made.", "Cancel it first.")
        self.store.generations.delete(id)

    # --- styles and the rest ---------------------------------------------------------------------------------------

    def list_styles(self) -> StyleList:
        trained = tuple(
            TrainedStyle(style, checkpoint.id)
            for checkpoint in self.store.checkpoints.list()
            for style in checkpoint.styles or (checkpoint.name,)
        )
        return StyleList(self.store.styles.builtin, tuple(self.store.styles.list()), trained)

    def add_style(self, name: str) -> StyleList:
        self.store.styles.add(name)
        return self.list_styles()

    def remove_style(self, name: str) -> StyleList:
        self.store.styles.remove(name)
        return self.list_styles()

    def health(self) -> Health:
        active = self._shown_active()
        running = next((job.id for job in self.store.jobs.list() if job.status == "running"), None)
        device, base = self.settings.device, self.settings.base_model
        if self._workshop:
            device, base = self._workshop.device, self._workshop.runtime.base.name
        return Health(__version__, device, base, active and active[0], running)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _queue_job(self, dataset_id: str, config: "TrainConfig") -> Job:
        with self.store.lock(QUEUE_LOCK):  # or the dataset could go in this moment
            dataset = self.store.datasets.get(dataset_id)
            return self._jobs.submit(dataset, config, self.workshop.device, self.workshop.runtime.base_name)

    def _shown_active(self) -> tuple[str, float] | None:
        """The active style for lists, which a damaged choice must not keep from being shown."""
        try:
            return self.store.checkpoints.active()
        except StorageError as error:
            _log.warning("Which style is active cannot be read: %s", error)
            return None

    def _with_activity(self, checkpoint: Checkpoint) -> Checkpoint:
        active = self._shown_active()
        is_active = active is not None and active[0] == checkpoint.id
        return dataclasses.replace(checkpoint, is_active=is_active, strength=active[1] if is_active else None)
