"""Songs by which the rungs of a run are compared: same prompts, same seeds, from the base on. Loads no torch.

previews/step-00000120/0.flac, 1.flac, …   the songs
                       songs.safetensors   their codes, and what they are judged by
                       previews.json       what each was asked for
    previews/tracks/songs.safetensors          what the tracks are judged by
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field, TypeAdapter, ValidationError

from heartmula_studio.errors import StorageError
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.figures import ListeningFigures
from heartmula_studio.finetune.run_folder import RunFolder

PREVIEWS_FILE = "previews.json"
FEWEST_BASE_SONGS = 8  # that say how far songs of the base differ
HINT = "Delete that folder; resuming the job renders its songs again."


@dataclass(frozen=True)
class PreviewPrompt:
    """What a song is asked for."""

    tags: str
    lyrics: str
    seed: int
    max_sec: float


@dataclass(frozen=True)
class Preview(PreviewPrompt):
    """A song that was rendered. `ended`: by itself, before `max_sec`."""

    number: Annotated[int, Field(ge=0)]
    duration_sec: Annotated[float, Field(ge=0)]
    ended: bool


class Listener(Protocol):
    """Renders the songs of a rung and says what can be heard in them."""

    def listen(
        self, folder: RunFolder, config: TrainConfig, step: int, device: str, cancelled: Callable[[], bool]
    ) -> tuple[tuple[Preview, ...], ListeningFigures]:
        """Render what is missing of the songs of the base and of the rung at `step`; step 0 is the base alone.

        Raises CancelledError, and StudioError where it cannot be done: OutOfMemoryError for one.
        """


def num_base_songs(preview_songs: int) -> int:
    """Return how many songs of the base are rendered for `preview_songs` of each rung."""
    return max(2 * preview_songs, FEWEST_BASE_SONGS)


def preview_file(folder: Path, number: int) -> Path:
    return folder / f"{number}.flac"


def read_previews(folder: Path) -> tuple[Preview, ...]:
    """Read what was rendered into a folder; nothing where it was not. Raises StorageError for a damaged file."""
    path = folder / PREVIEWS_FILE
    if not path.is_file():
        return ()
    try:
        return TypeAdapter(tuple[Preview, ...]).validate_python(read_json_object(path, HINT).get("previews"))
    except ValidationError as error:
        raise StorageError(f"{path} is damaged: {error.errors()[0]['msg']}.", HINT) from error


def write_previews(folder: Path, previews: tuple[Preview, ...]) -> None:
    text = json.dumps({"previews": [dataclasses.asdict(preview) for preview in previews]}, indent=1, ensure_ascii=False)
    (folder / PREVIEWS_FILE).write_text(text + "\n", encoding="utf-8")
