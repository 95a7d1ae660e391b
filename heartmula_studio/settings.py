"""Settings of one installation: defaults from `spaces_config.yaml`, overridden by `HEARTMULA_*` variables.

Knows what the values may be, not what they are used for. Imports nothing heavy.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from heartmula_studio.errors import InvalidInputError, NotFoundError

CONFIG_PATH = Path(__file__).parent.parent / "spaces_config.yaml"
SPACE_STORAGE = Path("/data")  # where Hugging Face mounts a Space's persistent storage


@dataclass(frozen=True)
class Settings:
    """One field for each entry under `settings:` in the file; HEARTMULA_<FIELD> overrides it."""

    data_dir: Path  # datasets, jobs, checkpoints and songs
    base_model: str  # "nano", a folder in heartlib's layout, or "auto"
    device: str  # a torch device, or "auto"
    checkpoints_dir: Path | None  # official checkpoints in heartlib's layout
    max_window_sec: float
    max_song_sec: float
    max_upload_bytes: int

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, config_path: Path = CONFIG_PATH) -> "Settings":
        """Read the file, then the environment; an empty variable counts as unset.

        Relative folders start at the file in the file, at the working directory in the environment. On a Space with
        persistent storage, data goes there unless HEARTMULA_DATA_DIR says otherwise.
        Raises NotFoundError without the file; InvalidInputError naming the value, where it stands and what is allowed.
        """
        texts = _read_file(config_path)
        values = {name: _parse(name, texts[name], f"{name} in {config_path}") for name in _RULES}
        for name in ("data_dir", "checkpoints_dir"):
            values[name] = values[name] and config_path.parent / values[name]
        if "SPACE_ID" in environ and SPACE_STORAGE.is_dir():
            values["data_dir"] = SPACE_STORAGE
        for name in _RULES:
            variable = f"HEARTMULA_{name.upper()}"
            if environ.get(variable):
                values[name] = _parse(name, environ[variable], variable)
        return cls(**values)


@dataclass(frozen=True)
class _Rule:
    """How one setting is read, and what is said when that fails with ValueError."""

    parse: Callable[[str], Any]
    allowed: str


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text.strip()


def _folder(text: str) -> Path:
    return Path(_text(text)).expanduser()


def _optional_folder(text: str) -> Path | None:
    return _folder(text) if text.strip() else None


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", text):
        raise ValueError(text)
    return text


def _number(kind: Callable[[str], float], low: float, high: float, unit: str) -> _Rule:
    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return _Rule(parse, f"{'a whole number' if kind is int else 'a number'} of {unit} from {low:,} to {high:,}")


_RULES: Mapping[str, _Rule] = {
    "data_dir": _Rule(_folder, "a folder"),
    "base_model": _Rule(_text, "nano, auto, or a folder in heartlib's ckpt/ layout"),
    "device": _Rule(_device, "auto, cpu, mps, cuda or cuda:<number>"),
    "checkpoints_dir": _Rule(_optional_folder, "a folder in heartlib's ckpt/ layout, or nothing"),
    "max_window_sec": _number(float, 1, 600, "seconds"),
    "max_song_sec": _number(float, 1, 7200, "seconds"),
    "max_upload_bytes": _number(int, 1, 2**40, "bytes"),
}


def _parse(name: str, text: str, place: str) -> Any:
    try:
        return _RULES[name].parse(text)
    except ValueError as error:
        raise InvalidInputError(f"{place} is {text!r}.", f"Allowed: {_RULES[name].allowed}.") from error


def _read_file(path: Path) -> dict[str, str]:
    """The `settings:` section as text, like the environment gives it."""
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(f"Cannot read {path} ({error.strerror}).", "Restore it from the project.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} is not YAML ({error}).", "Restore it from the project.") from error
    values = sections.get("settings") if isinstance(sections, dict) else None
    if not isinstance(values, dict) or set(values) != set(_RULES):
        found = ", ".join(map(str, values)) if isinstance(values, dict) else "nothing"
        raise InvalidInputError(f"`settings:` in {path} has {found}.", f"It needs exactly {', '.join(_RULES)}.")
    return {name: "" if value is None else str(value) for name, value in values.items()}
