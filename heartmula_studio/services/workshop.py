"""The part of a studio that needs torch: listening to songs, settings of a training, the engine and its songs.

Importing this module takes seconds, so a studio does it in the background and lists what it holds meanwhile.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets

from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.exporting import push_to_hub
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.errors import ConflictError
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.flat_settings import with_settings
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.services.devices import Devices
from heartmula_studio.services.library.checkpoint_import import import_checkpoint
from heartmula_studio.services.library.dataset_exchange import DatasetExchange
from heartmula_studio.services.library.dataset_tokenizer import DatasetTokenizer
from heartmula_studio.services.library.round_trip_preview import RoundTripPreview
from heartmula_studio.services.library.uploads import UploadService
from heartmula_studio.services.planning.estimate import Estimator
from heartmula_studio.services.songs.active_engine import ActiveEngine
from heartmula_studio.services.songs.queue import GenerationQueue
from heartmula_studio.services.songs.service import SongService
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import AudioFile, Checkpoint, Dataset, Job
from heartmula_studio.store.store import Store


class Workshop:
    """`songs` is the queue of songs, which `desk` takes orders for; `engine` makes them, and is in the active style.

    `intake` brings songs into datasets, `exchange` takes whole ones in and out; `tokenizer` works on whole datasets,
    `round_trips` previews single tracks; `estimator` says what training on them would take.
    """

    def __init__(self, settings: Settings, store: Store, devices: Devices):
        """Raises CheckpointMissingError without the base model, InvalidInputError for a device that is not there."""
        self._store = store
        self.runtime = Runtime.of(settings)
        self.engine = ActiveEngine(store, self.runtime)
        self.tokenizer = DatasetTokenizer(store, self.runtime.load_codec, self.runtime.limits)
        self.songs = GenerationQueue(store, devices, self.engine.get, self.device, self.runtime.base_name)
        self.desk = SongService(store, self.songs, self.engine)
        self.intake = UploadService(store.datasets, self.runtime.limits)
        self.exchange = DatasetExchange(store, settings)
        self.round_trips = RoundTripPreview(store, devices, self.runtime)
        self.estimator = Estimator(store, self.runtime, settings.accelerate_config)

    @property
    def device(self) -> str:
        return str(self.runtime.device)

    def start(self) -> None:
        """Put right what a crash left, and go on with the songs that wait."""
        self.tokenizer.recover()
        self.songs.start()

    def close(self) -> None:
        self.round_trips.close()
        self.songs.close()
        self.tokenizer.close()

    def train_config(self, method: str, settings: Mapping[str, Any]) -> TrainConfig:
        """The defaults of this installation with `settings`, by flat names. Raises InvalidInputError."""
        return with_settings(self.runtime.train_config(method), settings)

    def changed_config(self, job: Job, method: str, changes: Mapping[str, Any]) -> TrainConfig:
        """The settings of a job with `changes`; another method brings what suits it. Raises InvalidInputError."""
        config = TrainConfig.from_dict(job.config)
        if method != config.method:
            suits = self.runtime.train_config(method)
            config = dataclasses.replace(
                config, method=method, base_dtype=suits.base_dtype, learning_rate=suits.learning_rate
            )
        return with_settings(config, changes)

    def as_hf_dataset(self, dataset: Dataset) -> datasets.Dataset:
        """The songs as training reads them. Raises ConflictError while songs are not tokenized."""
        if waiting := [song.filename for song in dataset.audio_files if song.frames is None]:
            raise ConflictError(
                f"{len(waiting)} of {len(dataset.audio_files)} songs are not tokenized.",
                "Preprocess the dataset first.",
            )
        return song_dataset(self._row(dataset, song) for song in dataset.audio_files)

    def push_to_hub(self, dataset: Dataset, repo_id: str, private: bool) -> None:
        push_to_hub(self.as_hf_dataset(dataset), repo_id, private)

    def import_checkpoint(self, archive: Path, filename: str, name: str, styles: tuple[str, ...]) -> Checkpoint:
        return import_checkpoint(self._store, self.runtime.base, archive, filename, name, styles)

    def _row(self, dataset: Dataset, song: AudioFile) -> dict[str, Any]:
        tokens = Tokens.load(self._store.datasets.tokens_path(dataset.id, song.filename))
        return {
            "song": Path(song.filename).stem,
            "audio": str(self._store.datasets.audio_path(dataset.id, song.filename)),
            "lyrics": song.caption,
            "tags": song.tags or dataset.styles,
            "codes": tokens.codes,
            "codec": tokens.codec_id,
            "rights": song.rights,
        }
