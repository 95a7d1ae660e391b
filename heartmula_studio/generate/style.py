"""A trained style on disk: what kind it is, who it is, and whether it fits the base. Nothing is changed here."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heartmula_studio.arch.checkpoints import MODEL_REPO, weight_files
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointMissingError,
    InvalidInputError,
)
from heartmula_studio.generate.adapter_files import CONFIG_FILE, WEIGHTS_FILE, check_adapter
from heartmula_studio.generate.full_weights import check_full

MAX_STRENGTH = 2.0
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class BaseModel:
    """What a style is checked against."""

    config: HeartMuLaConfig
    shapes: Mapping[str, tuple[int, ...]]
    fingerprint: str


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
    """Reads who the style is, and refuses it unless it fits the base.

    Raises `CheckpointMissingError`, `CheckpointCorruptError`, `CheckpointError` for pickled weights, or
    `CheckpointMismatchError` with the reason.
    """
    if not path.is_dir():
        raise CheckpointMissingError(
            f"The checkpoint folder {path} does not exist.", "Give the folder of a trained style."
        )
    meta = _read_meta(path)
    _check_base(path, meta.get("base_model"), base.fingerprint)
    method = "full" if (path / "config.json").exists() and not (path / CONFIG_FILE).exists() else "lora"
    if method == "lora":
        check_adapter(path, base.shapes)
        files = [path / WEIGHTS_FILE]
    else:
        check_full(path, base.config, base.shapes)
        files = weight_files(path, MODEL_REPO)
    return StyleFolder(str(meta.get("id", path.name)), path, method, sha256(files))


def _check_base(path: Path, trained_on: Any, loaded: str) -> None:
    """Compares the base that training recorded; an adapter from elsewhere records none and is judged by its shapes."""
    if isinstance(trained_on, dict) and trained_on.get("fingerprint", loaded) != loaded:
        raise CheckpointMismatchError(
            f"The style in {path} was trained on another base: {trained_on.get('name')}, fingerprint "
            f"{trained_on['fingerprint']}. This one has {loaded}.",
            "Load that base model, or train the style again on this one.",
        )


def check_strength(strength: float, method: str) -> None:
    """Raises `InvalidInputError` unless a style of this kind can have this strength."""
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= MAX_STRENGTH:
        raise InvalidInputError(f"The strength is {strength!r}.", f"Give a number from 0 to {MAX_STRENGTH}.")
    if method == "full" and strength != 1:
        raise InvalidInputError(
            f"A full fine-tune has no strength, and {strength} was asked for.",
            "Use 1, or deactivate it. LoRA styles can be scaled.",
        )


def sha256(files: list[Path]) -> str:
    """The hash of the files' bytes, one after the other; of a single file, what `sha256sum` prints."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _read_meta(path: Path) -> dict[str, Any]:
    """The `meta.json` that training leaves; {} for an adapter from elsewhere."""
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointCorruptError(f"{path / 'meta.json'} is not JSON: {error}.", "Copy the folder again.") from error
    if not isinstance(meta, dict):
        raise CheckpointCorruptError(f"{path / 'meta.json'} is not an object.", "Copy the folder again.")
    return meta
