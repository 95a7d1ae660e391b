"""A trained style on disk: what kind it is, who it is, and whether it fits the base. Nothing is changed here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from heartmula_studio.arch.checkpoints import weight_files
from heartmula_studio.arch.official import MODEL_REPO
from heartmula_studio.errors import CheckpointMismatchError, CheckpointMissingError, InvalidInputError
from heartmula_studio.files.hashing import file_sha256
from heartmula_studio.files.json_file import read_json_object
from heartmula_studio.generate.adapter_config import CONFIG_FILE
from heartmula_studio.generate.adapter_files import AdapterDescription, check_adapter_values, describe_adapter
from heartmula_studio.generate.base_model import BaseModel
from heartmula_studio.generate.full_weights import check_full, check_full_values
from heartmula_studio.generate.strength import Strength

PROVENANCE_FILE = "provenance.json"
Method = Literal["lora", "full"]


@dataclass(frozen=True)
class StyleFolder:
    """A checkpoint folder that fits the base. `adapter` is None for a full checkpoint."""

    path: Path
    adapter: AdapterDescription | None

    @property
    def method(self) -> Method:
        return "full" if self.adapter is None else "lora"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its owner has to know of it, in sentences."""
        return () if self.adapter is None else self.adapter.warnings


@dataclass(frozen=True)
class Style:
    """A style to be put on: who it is, by what its training recorded, and the SHA-256 of its weights.

    `trigger_word` stands before the tags of songs in this style; empty without one. `name` is for people.
    """

    id: str
    folder: StyleFolder
    sha256: str
    trigger_word: str = ""
    name: str = ""

    @property
    def method(self) -> Method:
        return self.folder.method


@dataclass(frozen=True)
class ActiveStyle:
    """A style that the engine sings in."""

    style: Style
    strengths: Strength
    layers_changed: int

    @property
    def strength(self) -> float:
        return self.strengths.overall


def identify_style(path: Path, base: BaseModel) -> Style:
    """Read who the style in a folder is, once it is seen to fit the base. Raises as `check_fit`."""
    folder = check_fit(path, base)
    files = weight_files(path, MODEL_REPO) if folder.adapter is None else [folder.adapter.weights]
    meta = _read_meta(path)
    id, trigger_word, name = str(meta.get("id", path.name)), meta.get("trigger_word", ""), meta.get("name", "")
    return Style(id, folder, weights_sha256(files), str(trigger_word), str(name))


def provenance_sha256(path: Path) -> str | None:
    """Hash the record of what a style stands on, where there is one."""
    record = path / PROVENANCE_FILE
    return file_sha256(record) if record.is_file() else None


def read_origin(path: Path) -> dict[str, str]:
    """The repository and revision of the Hugging Face Hub that a style came from, if it did."""
    origin = _read_meta(path).get("origin")
    return {name: str(value) for name, value in origin.items()} if isinstance(origin, dict) else {}


def check_fit(path: Path, base: BaseModel) -> StyleFolder:
    """Hold a style's settings and the sizes of its weights against the base, without reading its values.

    Raises CheckpointMissingError, CheckpointCorruptError, CheckpointError for pickled weights, or
    CheckpointMismatchError with the reason.
    """
    if not path.is_dir():
        raise CheckpointMissingError(
            f"The checkpoint folder {path} does not exist.", "Give the folder of a trained style."
        )
    _check_base(path, _read_meta(path).get("base_model"), base.fingerprint)
    if (path / CONFIG_FILE).exists() or not (path / "config.json").exists():
        return StyleFolder(path, describe_adapter(path, base))
    check_full(path, base)
    return StyleFolder(path, None)


def check_values(style: StyleFolder) -> None:
    """Read all values of a style that fits. Raises CheckpointCorruptError for one that cannot be applied."""
    if style.adapter is None:
        check_full_values(style.path)
    else:
        check_adapter_values(style.adapter)


def _check_base(path: Path, trained_on: Any, loaded: str) -> None:
    """Compare the base that training recorded; an adapter from elsewhere records none and is judged by its shapes."""
    if isinstance(trained_on, dict) and trained_on.get("fingerprint", loaded) != loaded:
        raise CheckpointMismatchError(
            f"The style in {path} was trained on another base: {trained_on.get('name')}, fingerprint "
            f"{trained_on['fingerprint']}. This one has {loaded}.",
            "Load that base model, or train the style again on this one.",
        )


def require_mixable(styles: Sequence[StyleFolder]) -> None:
    """Raise InvalidInputError where a full fine-tune is among several styles, or one is given twice."""
    if len({style.path for style in styles}) < len(styles):
        raise InvalidInputError("A style is given twice.", "Give each style once, with its strength.")
    if len(styles) > 1 and any(style.method == "full" for style in styles):
        raise InvalidInputError(
            "A full fine-tune takes the place of the base's weights, so it cannot be mixed with other styles.",
            "Use it alone, or mix LoRA styles.",
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
