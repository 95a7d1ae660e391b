"""Models that listen to recordings: folders beside the official models, of the kind that `transformers` saves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.arch.official import CLAP_FOLDER, TRANSCRIPTOR_FOLDER
from heartmula_studio.errors import NotFoundError, StudioError
from heartmula_studio.files.json_file import read_json_object


@dataclass(frozen=True)
class ListeningKind:
    """What a model is for, in words, what its config.json calls it, and which folder is taken before others."""

    purpose: str
    model_type: str
    preferred: str


TRANSCRIBES = ListeningKind("transcribes lyrics (Whisper, such as HeartTranscriptor)", "whisper", TRANSCRIPTOR_FOLDER)
FINDS_TAGS = ListeningKind("compares sound with words (CLAP)", "clap", CLAP_FOLDER)


def find_listening_model(official_dir: Path, kind: ListeningKind, name: str = "", is_local: bool = False) -> Path:
    """Find the folder of a model by its name, or the preferred one, or the first that there is.

    is_local: a name may be a path to any folder. Raises NotFoundError, which says what is there.
    """
    if name and is_local and is_of_kind(Path(name), kind):
        return Path(name)
    found = {folder.name: folder for folder in sorted(_folders(official_dir)) if is_of_kind(folder, kind)}
    if name in found or (not name and found):
        return found.get(name) or found.get(kind.preferred) or next(iter(found.values()))
    there = f"There is {', '.join(found)}. " if found else ""
    raise NotFoundError(
        f"There is no model {name[:80]!r} that {kind.purpose}." if name else f"No model here {kind.purpose}.",
        f"{there}Download {kind.preferred} under Models, or put one into the folder of the official models.",
    )


def is_of_kind(folder: Path, kind: ListeningKind) -> bool:
    """Tell whether a folder holds such a model, by its config.json."""
    try:
        return read_json_object(folder / "config.json", "").get("model_type") == kind.model_type
    except (StudioError, OSError):
        return False


def _folders(official_dir: Path) -> Iterator[Path]:
    return (path for path in official_dir.glob("*") if path.is_dir())
