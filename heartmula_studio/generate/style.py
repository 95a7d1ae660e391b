"""A trained style on disk: what kind it is, who it is, and whether it fits the base. Nothing is changed here."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heartmula_studio.arch.checkpoints import MODEL_REPO, weight_files
from heartmula_studio.arch.fingerprint import file_sha256
from heartmula_studio.arch.json_file import read_json_object
from heartmula_studio.errors import (
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
)
from heartmula_studio.generate.adapter_files import CONFIG_FILE, WEIGHTS_FILE, check_adapter
from heartmula_studio.generate.full_weights import BaseModel, check_full

MAX_STRENGTH = 2.0


@dataclass(frozen=True)
class StyleFolder:
    """A checkpoint folder that has passed all checks. `method` is `lora` or `full`; `sha256` is of the weights."""

    id: str
    path: Path
    method: str
    sha256: str


@dataclass(frozen=True)
class ActiveStyle:
    """The style the engine sings in."""

    style: StyleFolder
    strength: float
    layers_changed: int


def check_style(path: Path, base: BaseModel) -> StyleFolder:
    """Read who the style is, and refuse it unless it fits the base.

    Raises CheckpointMissingError, CheckpointCorruptError, CheckpointError for pickled weights, or
    CheckpointMismatchError with the reason.
    """
    method = check_fit(path, base)
    files = [path / WEIGHTS_FILE] if method == "lora" else weight_files(path, MODEL_REPO)
    return StyleFolder(str(_read_meta(path).get("id", path.name)), path, method, weights_sha256(files))


def check_fit(path: Path, base: BaseModel) -> str:
    """Return the method of a style that fits the base, without reading all of its weights. Raises as `check_style`."""
    if not path.is_dir():
        raise CheckpointMissingError(
            f"The checkpoint folder {path} does not exist.", "Give the folder of a trained style."
        )
    _check_base(path, _read_meta(path).get("base_model"), base.fingerprint)
    method = "full" if (path / "config.json").exists() and not (path / CONFIG_FILE).exists() else "lora"
    if method == "lora":
        check_adapter(path, base.shapes)
    else:
        check_full(path, base)
    return method


def _check_base(path: Path, trained_on: Any, loaded: str) -> None:
    """Compare the base that training recorded; an adapter from elsewhere records none and is judged by its shapes."""
    if isinstance(trained_on, dict) and trained_on.get("fingerprint", loaded) != loaded:
        raise CheckpointMismatchError(
            f"The style in {path} was trained on another base: {trained_on.get('name')}, fingerprint "
            f"{trained_on['fingerprint']}. This one has {loaded}.",
            "Load that base model, or train the style again on this one.",
        )


def check_strength(strength: float, method: str) -> None:
    """Raise InvalidInputError unless a style of this kind can have this strength."""
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= MAX_STRENGTH:
        raise InvalidInputError(f"The strength is {strength!r}.", f"Give a number from 0 to {MAX_STRENGTH}.")
    if method == "full" and strength != 1:
        raise InvalidInputError(
            f"A full fine-tune has no strength, and {strength} was asked for.",
            "Use 1, or deactivate it. LoRA styles can be scaled.",
        )


def weights_sha256(files: list[Path]) -> str:
    """Return what `sha256sum` prints of a single file; of several, the hash of their hashes."""
    hashes = [file_sha256(path) for path in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _read_meta(path: Path) -> dict[str, Any]:
    """Read the `meta.json` that training leaves; {} for an adapter from elsewhere."""
    try:
        return read_json_object(path / "meta.json", "Copy the folder again.")
    except CheckpointMissingError:
        return {}
