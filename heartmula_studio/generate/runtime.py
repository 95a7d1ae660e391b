"""What this installation runs on: the base model, the device and the limits, from settings and wishes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from heartmula_studio.arch.checkpoints import BaseFolder, find_base, root_of
from heartmula_studio.arch.device import Precision, pick_device, precision_of
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.device_name import is_gpu
from heartmula_studio.finetune.config import Method, TrainConfig
from heartmula_studio.finetune.flat_settings import with_settings
from heartmula_studio.finetune.training_record import TrainingRecord
from heartmula_studio.generate.base_choice import choose_base
from heartmula_studio.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """`base_name` is `nano` or an absolute folder; `limits` says how long a song may be.

    `base_reason` says why this base is used.
    """

    base_name: str
    base: BaseFolder
    device: torch.device
    limits: AudioLimits
    max_window_sec: float
    base_reason: str = ""
    max_track_versions: int = TrainConfig.track_versions
    preview_songs: int = TrainConfig.preview_songs

    @classmethod
    def of(cls, settings: Settings, base: str | None = None, device: str | None = None) -> "Runtime":
        """Take `base` and `device` where they are given, else what the settings say.

        Raises CheckpointMissingError without the base, InvalidInputError for a wrong device.
        """
        place = pick_device(device or settings.device)
        choice = choose_base(base or settings.base_model, settings, str(place))
        limits = AudioLimits(max_sec=settings.max_song_sec)
        return cls(
            base_name=choice.name,
            base=find_base(choice.name),
            device=place,
            limits=limits,
            max_window_sec=settings.max_window_sec,
            base_reason=choice.reason,
            max_track_versions=settings.max_track_versions,
            preview_songs=settings.preview_songs,
        )

    @property
    def precision(self) -> Precision:
        """What the device computes in by itself."""
        return precision_of(self.device)

    def load_codec(self) -> Codec:
        return Codec.load(self.base, self.device)

    @property
    def training_record(self) -> TrainingRecord:
        """What suits the base in training. Raises CheckpointCorruptError."""
        return TrainingRecord.of(root_of(self.base_name))

    def train_config(self, method: Method, settings: Mapping[str, Any] | None = None) -> TrainConfig:
        """The defaults of a training run here, with `settings` by flat names.

        A GPU computes in 16 bits, keeps a frozen base in them, and little else. A full fine-tune keeps the trainer's
        rate: at a LoRA's, nano forgets other styles.
        Raises InvalidInputError and CheckpointCorruptError.
        """
        record = self.training_record
        longest_sec = min(self.max_window_sec, record.max_window_sec)
        config = TrainConfig(
            base_model=self.base_name,
            method=method,
            learning_rate_factor=record.learning_rate_factor if method == "lora" else 1.0,
            draws_per_epoch=record.draws_per_epoch,
            track_versions=min(record.track_versions, self.max_track_versions),
            min_window_sec=min(longest_sec, record.min_window_sec),
            max_window_sec=longest_sec,
            batch_size=record.batch_size,
            prior_fraction=record.prior_fraction,
            context_noise=record.context_noise,
            mixed_precision=self.precision.training,
            base_dtype=self.precision.frozen_base if method == "lora" else "float32",
            gradient_checkpointing=is_gpu(str(self.device)),
            preview_songs=self.preview_songs,
        )
        return with_settings(config, settings or {})

    def changed_config(self, config: TrainConfig, method: Method, changes: Mapping[str, Any]) -> TrainConfig:
        """A run's settings with `changes`; another method brings what suits it. Raises as `train_config`."""
        if method != config.method:
            suits = self.train_config(method)
            config = dataclasses.replace(
                config,
                method=method,
                base_dtype=suits.base_dtype,
                learning_rate=suits.learning_rate,
                learning_rate_factor=suits.learning_rate_factor,
            )
        return with_settings(config, changes)
