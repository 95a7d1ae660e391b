"""Settings of one installation: defaults from `spaces_config.yaml`, overridden by variables of the environment.

Knows what the values may be, not what they are used for. Imports nothing heavy.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from heartmula_studio.device_name import ALLOWED, is_device_name
from heartmula_studio.errors import InvalidInputError, NotFoundError

BUNDLED_BASE = "nano"
CONFIG_NAME = "spaces_config.yaml"
INSTALLED_CONFIG_PATH = Path(__file__).parent / CONFIG_NAME  # where a wheel puts it
CONFIG_PATH = INSTALLED_CONFIG_PATH if INSTALLED_CONFIG_PATH.is_file() else Path(__file__).parents[1] / CONFIG_NAME
SPACE_STORAGE = Path("/data")  # where Hugging Face mounts a Space's persistent storage
GRADIO_VARIABLES = {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT", "root_path": "GRADIO_ROOT_PATH"}
PATHS = ("data_dir", "checkpoints_dir", "accelerate_config")


@dataclass(frozen=True)
class Settings:
    """One field for each entry under `settings:` in the file; HEARTMULA_<FIELD> overrides it."""

    data_dir: Path  # datasets, jobs, checkpoints and songs
    base_model: str  # "nano", a folder in heartlib's layout, or "auto"
    device: str  # a torch device, or "auto"
    checkpoints_dir: Path | None  # official checkpoints in heartlib's layout
    max_window_sec: float
    max_song_sec: float
    max_upload_bytes: int  # of one song
    max_files: int  # songs in a dataset
    max_import_bytes: int  # of a checkpoint or dataset made elsewhere
    accelerate_config: Path | None  # how training is spread over devices and machines; None is this machine alone
    host: str  # the address the server listens on
    port: int  # 0 is any free one
    root_path: str  # where a proxy serves the studio: "", "/studio", or "https://music.example/studio"
    token: str | None = field(repr=False)  # what REST and the page ask for; None asks for nothing
    allow_anonymous: bool  # serve other machines without a token

    @property
    def path_prefix(self) -> str:
        """The path of `root_path`: "" or "/studio"."""
        return urlsplit(self.root_path).path

    @property
    def public_host(self) -> str:
        """Host and port of `root_path`, or "" where it names none."""
        return urlsplit(self.root_path).netloc

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, config_path: Path = CONFIG_PATH) -> "Settings":
        """Read the file, then the environment; an empty variable counts as unset.

        GRADIO_SERVER_NAME, GRADIO_SERVER_PORT and GRADIO_ROOT_PATH are honoured where HEARTMULA_HOST, HEARTMULA_PORT
        and HEARTMULA_ROOT_PATH are not set.
        Relative paths start at the file in the file, at the working directory in the environment and where the studio
        is installed as a package. On a Space with persistent storage, data goes there unless HEARTMULA_DATA_DIR says
        otherwise.
        Raises NotFoundError without the file; InvalidInputError naming the value, where it stands and what is allowed.
        """
        texts = _read_file(config_path)
        values = {name: _parse(name, texts[name], f"{name} in {config_path}") for name in _RULES}
        folder = Path.cwd() if config_path == INSTALLED_CONFIG_PATH else config_path.parent
        for name in PATHS:
            values[name] = values[name] and folder / values[name]
        if "SPACE_ID" in environ and SPACE_STORAGE.is_dir():
            values["data_dir"] = SPACE_STORAGE
        for name in _RULES:
            for variable in (GRADIO_VARIABLES.get(name), f"HEARTMULA_{name.upper()}"):
                if variable and environ.get(variable):
                    values[name] = _parse(name, environ[variable], variable)
        return cls(**values)


@dataclass(frozen=True)
class _Rule:
    """How one setting is read, and what is said when that fails with ValueError."""

    parse: Callable[[str], Any]
    allowed: str
    is_secret: bool = False


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text.strip()


def _folder(text: str) -> Path:
    return Path(_text(text)).expanduser()


def _optional_path(text: str) -> Path | None:
    return _folder(text) if text.strip() else None


def _token(text: str) -> str | None:
    """Visible ASCII: what fits into an HTTP header as it is."""
    if text and not re.fullmatch(r"[!-~]{8,}", text):
        raise ValueError("token")
    return text or None


def _root_path(text: str) -> str:
    if not re.fullmatch(r"(https?://[a-z0-9.-]+(:\d{1,5})?)?(/[A-Za-z0-9_~.-]+)*/?", text.strip()):
        raise ValueError(text)
    return text.strip().rstrip("/")


def _switch(text: str) -> bool:
    if text.lower() not in ("0", "false", "no", "1", "true", "yes"):
        raise ValueError(text)
    return text.lower() in ("1", "true", "yes")


def _device(text: str) -> str:
    if not is_device_name(text):
        raise ValueError(text)
    return text


def _number(kind: Callable[[str], float], low: float, high: float, what: str) -> _Rule:
    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return _Rule(parse, f"{'a whole number' if kind is int else 'a number'} of {what} from {low:,} to {high:,}")


_RULES: Mapping[str, _Rule] = {
    "data_dir": _Rule(_folder, "a folder"),
    "base_model": _Rule(_text, "nano, auto, or a folder in heartlib's ckpt/ layout"),
    "device": _Rule(_device, ALLOWED),
    "checkpoints_dir": _Rule(_optional_path, "a folder in heartlib's ckpt/ layout, or nothing"),
    "max_window_sec": _number(float, 1, 600, "seconds"),
    "max_song_sec": _number(float, 1, 7200, "seconds"),
    "max_upload_bytes": _number(int, 1, 2**40, "bytes"),
    "max_files": _number(int, 1, 100_000, "songs"),
    "max_import_bytes": _number(int, 1, 2**40, "bytes"),
    "accelerate_config": _Rule(_optional_path, "a file made by `accelerate config`, or nothing"),
    "host": _Rule(_text, "an address or name of this machine: 127.0.0.1 for itself only, 0.0.0.0 for all others too"),
    "port": _number(int, 0, 65535, "the port"),
    "root_path": _Rule(_root_path, "a path such as /studio, an address such as https://music.example, or nothing"),
    "token": _Rule(_token, "8 or more visible ASCII characters without spaces, or nothing", is_secret=True),
    "allow_anonymous": _Rule(_switch, "true or false"),
}


def _parse(name: str, text: str, place: str) -> Any:
    rule = _RULES[name]
    try:
        return rule.parse(text)
    except ValueError as error:
        shown = "not a token" if rule.is_secret else repr(text)
        raise InvalidInputError(f"{place} is {shown}.", f"Allowed: {rule.allowed}.") from error


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
