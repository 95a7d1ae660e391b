"""What suits a base in training, by a record in its folder: how often tracks are drawn, in which windows, how fast.

The page shows the same epochs, rate and rank for every base; the record carries what differs. A base without one is
taken for the official 3B's kind.
"""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition
from heartmula_studio.errors import CheckpointCorruptError, InvalidInputError

TRAINING_RECORD = "training.json"


@dataclass(frozen=True)
class TrainingRecord(Definition):
    """Settings of a LoRA that suit one base, and the steps after which its songs were told from the base's.

    Defaults are those of the official 3B: 300, 600 and 900 steps on whole songs, at 1e-4, were proven by ear on a music
    language model of its size and kind (HOT-Step-CPP on MiniMax Music 3's, August 2026).
    """

    source: Annotated[str, Field(description="What the other values were measured with, or taken from.")] = ""
    learning_rate_factor: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    draws_per_epoch: Annotated[int, Field(ge=1, le=10_000)] = 20
    track_versions: Annotated[int, Field(ge=1, le=32)] = 1
    min_window_sec: Annotated[float, Field(ge=1, le=600)] = 240.0
    max_window_sec: Annotated[float, Field(ge=1, le=600)] = 240.0
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1
    prior_fraction: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    context_noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    fast_steps: Annotated[int, Field(ge=1)] = 300
    balanced_steps: Annotated[int, Field(ge=1)] = 600
    thorough_steps: Annotated[int, Field(ge=1)] = 900
    preset_rank: Annotated[int, Field(ge=1, le=256)] = 128

    @classmethod
    def of(cls, base_root: Path) -> "TrainingRecord":
        """Read the record of a base, given its folder; the defaults where it has none.

        Raises CheckpointCorruptError, naming the file, where it holds something else.
        """
        path = base_root / TRAINING_RECORD
        if not path.is_file():
            return cls()
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(**values)
        except (InvalidInputError, OSError, ValueError, TypeError) as error:
            raise CheckpointCorruptError(
                f"{path} is not a record of training settings: {error}", "Correct it, or remove it."
            ) from error
