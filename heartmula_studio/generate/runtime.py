"""What this installation runs on: the base model, the device and the limits, from settings and wishes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from heartmula_studio.arch.checkpoints import BaseFolder, find_base, read_heartmula_config
from heartmula_studio.arch.llama import NAMED_FLAVORS
from heartmula_studio.codec.audio_file import AudioLimits
from heartmula_studio.codec.codec import Codec
from heartmula_studio.finetune.config import Method, TrainConfig
from heartmula_studio.finetune.flat_settings import with_settings
from heartmula_studio.generate.engine import pick_device
from heartmula_studio.settings import BUNDLED_BASE, Settings

MEMORY_FOR_3B_BYTES = 12 * 10**9
WIDTH_OF_3B = NAMED_FLAVORS["llama-3B"].embed_dim


@dataclass(frozen=True)
class Runtime:
    """`base_name` is `nano` or an absolute folder; `limits` says how long a song may be."""

    base_name: str
    base: BaseFolder
    device: torch.device
    limits: AudioLimits
    max_window_sec: float

    @classmethod
    def of(cls, settings: Settings, base: str | None = None, device: str | None = None) -> "Runtime":
        """Take `base` and `device` where they are given, else what the settings say.

        Raises CheckpointMissingError without the base, InvalidInputError for a wrong device.
        """
        place = pick_device(device or settings.device)
        base_name = choose_base(base or settings.base_model, settings.checkpoints_dir, place)
        limits = AudioLimits(max_sec=settings.max_song_sec)
        return cls(base_name, find_base(base_name), place, limits, settings.max_window_sec)

    def load_codec(self) -> Codec:
        return Codec.load(self.base, self.device)

    def train_config(self, method: Method, settings: Mapping[str, Any] | None = None) -> TrainConfig:
        """The defaults of a training run here, with `settings` by flat names.

        A GPU computes in bfloat16, keeps a frozen base in it, and little else.
        Raises InvalidInputError, and as `read_heartmula_config`.
        """
        on_gpu = self.device.type == "cuda"
        width = read_heartmula_config(self.base.model).backbone_flavor.embed_dim
        config = TrainConfig(
            base_model=self.base_name,
            method=method,
            learning_rate=learning_rate_for(method, width),
            max_window_sec=self.max_window_sec,
            mixed_precision="bf16" if on_gpu else "no",
            base_dtype="bfloat16" if on_gpu and method == "lora" else "float32",
            gradient_checkpointing=on_gpu,
        )
        return with_settings(config, settings or {})

    def changed_config(self, config: TrainConfig, method: Method, changes: Mapping[str, Any]) -> TrainConfig:
        """A run's settings with `changes`; another method brings what suits it. Raises as `train_config`."""
        if method != config.method:
            suits = self.train_config(method)
            config = dataclasses.replace(
                config, method=method, base_dtype=suits.base_dtype, learning_rate=suits.learning_rate
            )
        return with_settings(config, changes)


def learning_rate_for(method: Method, width: int) -> float:
    """The default for a base whose backbone is `width` wide, to two digits; the trainer's own is that of the 3B.

    With Adam, the best rate for the matrices inside falls as 1 / width (Yang et al., 2022, "Tensor Programs V"). A full
    fine-tune keeps the trainer's: at a LoRA's rate, nano forgets other styles.
    """
    if method == "full":
        return TrainConfig.learning_rate
    return float(f"{TrainConfig.learning_rate * WIDTH_OF_3B / width:.1e}")


def choose_base(asked: str, checkpoints_dir: Path | None, device: torch.device) -> str:
    """The base asked for; for `auto` the official one where its folder is set and the GPU can hold it, else nano."""
    if asked == "auto":
        asked = str(checkpoints_dir) if checkpoints_dir and can_hold_3b(device) else BUNDLED_BASE
    return asked if asked == BUNDLED_BASE else str(Path(asked).resolve())


def can_hold_3b(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory >= MEMORY_FOR_3B_BYTES
