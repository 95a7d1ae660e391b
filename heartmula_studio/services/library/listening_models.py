"""Models that listen to recordings: folders beside the official models, as `transformers` or Demucs saves them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heartmula_studio.arch.official import CLAP_FOLDER, SEPARATOR_FOLDER, TRANSCRIPTOR_FOLDER
from heartmula_studio.errors import NotFoundError, StudioError
from heartmula_studio.files.json_file import read_json_object


@dataclass(frozen=True)
class ListeningKind:
    """What a model is for, in words, how its folder is told from others, and which one is taken before others."""

    purpose: str
    is_in: Callable[[Path], bool]
    preferred: str


def has_config_of(model_type: str, folder: Path) -> bool:
    """Tell whether a folder's config.json names this type of model."""
    try:
        return read_json_object(folder / "config.json", "").get("model_type") == model_type
    except (StudioError, OSError):
        return False


def has_demucs(folder: Path) -> bool:
    """Tell whether a folder holds a list of networks, and their weights."""
    return any(folder.glob("*.yaml")) and any(folder.glob("*.safetensors"))


TRANSCRIBES = ListeningKind(
    "transcribes lyrics (Whisper, such as HeartTranscriptor)", partial(has_config_of, "whisper"), TRANSCRIPTOR_FOLDER
)
FINDS_TAGS = ListeningKind("compares sound with words (CLAP)", partial(has_config_of, "clap"), CLAP_FOLDER)
SEPARATES_VOCALS = ListeningKind("separates vocals (Demucs, as safetensors)", has_demucs, SEPARATOR_FOLDER)


def find_listening_model(official_dir: Path, kind: ListeningKind, name: str = "", is_local: bool = False) -> Path:
    """Find the folder of a model by its name, or the preferred one, or the first that there is.

    is_local: a name may be a path to any folder. Raises NotFoundError, which says what is there.
    """
    if name and is_local and kind.is_in(Path(name)):
        return Path(name)
    found = {folder.name: folder for folder in sorted(_folders(official_dir)) if kind.is_in(folder)}
    if name in found or (not name and found):
        return found.get(name) or found.get(kind.preferred) or next(iter(found.values()))
    there = f"There is {', '.join(found)}. " if found else ""
    raise NotFoundError(
        f"There is no model {name[:80]!r} that {kind.purpose}." if name else f"No model here {kind.purpose}.",
        f"{there}Download {kind.preferred} under Models, or put one into the folder of the official models.",
    )


def _folders(official_dir: Path) -> Iterator[Path]:
    return (path for path in official_dir.glob("*") if path.is_dir())
