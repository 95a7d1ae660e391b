"""meta.json: how the weights beside it came about, written by a run and read by whoever stores them. Loads no torch."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from heartmula_studio.errors import CheckpointCorruptError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.finetune.config import Method
from heartmula_studio.finetune.figures import Figures

META_FILE = "meta.json"
SCHEMA: Final = 1
RECIPE = ("config", "versions", "step", "total_steps", "epochs", "songs", "held_out_songs")
HINT = "Train again, or copy the folder again."

Loss = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class BaseId:
    """The base that the weights belong to; the fingerprint is that of `files.hashing`."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class ParentId:
    """The checkpoint that a run started from."""

    id: str
    name: str


@dataclass(frozen=True)
class RunLosses:
    """Means over the codebooks in nats, None where not measured: of the last step, and of held-out songs."""

    train: Loss | None
    initial: Loss | None
    eval: Loss | None
    best: Loss | None


@dataclass(frozen=True)
class CheckpointMeta:
    """`id` comes from the weights: checkpoints of one id hold the same ones. `config` is a `TrainConfig` in JSON."""

    id: str
    schema: Literal[1]
    created_at: str
    method: Method
    base_model: BaseId
    step: int
    total_steps: int
    epochs: int
    losses: RunLosses
    songs: tuple[str, ...]
    held_out_songs: tuple[str, ...]
    config: dict[str, Any]
    versions: dict[str, str]
    parent: ParentId | None = None
    trigger_word: str = ""
    figures: Figures | None = None  # of a rung, see `figures`

    @classmethod
    def read(cls, folder: Path) -> "CheckpointMeta":
        """Read it from a checkpoint's folder. Raises CheckpointMissingError, CheckpointCorruptError."""
        path = folder / META_FILE
        values = read_json_object(path, HINT)
        try:
            return CHECKPOINT_META.validate_python(values)
        except ValidationError as error:
            raise CheckpointCorruptError(f"{path} is damaged: {error.errors()[0]['msg']}.", HINT) from error

    def recipe(self) -> dict[str, Any]:
        """Return how it was trained and on what, for the record of a stored checkpoint."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in RECIPE}

    def write(self, folder: Path) -> None:
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        with replaced_file(folder / META_FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")


CHECKPOINT_META = TypeAdapter(CheckpointMeta)
