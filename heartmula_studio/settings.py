"""Settings of one installation: defaults from `spaces_config.yaml`, overridden by variables of the environment.

Knows what the values may be, not what they are used for. Imports nothing heavy.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from heartmula_studio.definition import Setting
from heartmula_studio.device_name import ALLOWED, is_device_name
from heartmula_studio.errors import InvalidInputError, NotFoundError

BUNDLED_BASE = "nano"
CONFIG_NAME = "spaces_config.yaml"
INSTALLED_CONFIG_PATH = Path(__file__).parent / CONFIG_NAME  # where a wheel puts it
CONFIG_PATH = INSTALLED_CONFIG_PATH if INSTALLED_CONFIG_PATH.is_file() else Path(__file__).parents[1] / CONFIG_NAME
SPACE_STORAGE = Path("/data")  # where Hugging Face mounts a Space's persistent storage
GRADIO_VARIABLES = {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT", "root_path": "GRADIO_ROOT_PATH"}
PATHS = ("data_dir", "checkpoints_dir", "catalogues_dir", "accelerate_config")
SECRETS = ("token", "user_tokens")


def _stripped(text: str) -> str:
    return text.strip()


def _or_none(text: str) -> str | None:
    return text.strip() or None


def _without_slash(text: str) -> str:
    return text.strip().rstrip("/")


def _user_tokens(text: str) -> dict[str, str]:
    """Read `maria=token, jon=token`. Raises ValueError."""
    pairs = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    users = {name: token for name, _, token in pairs if USER_NAME.fullmatch(name) and TOKEN.fullmatch(token)}
    if not len(pairs) == len(users) == len(set(users.values())):
        raise ValueError("not one name and one token each")
    return users


def _device(text: str) -> str:
    if not is_device_name(text):
        raise ValueError(text)
    return text


Text = Annotated[str, BeforeValidator(_stripped), Field(min_length=1)]
Folder = Annotated[Path, AfterValidator(Path.expanduser)]
Bytes = Annotated[int, Field(ge=1, le=2**40)]
_PATH = r"(/[A-Za-z0-9_~.-]+)*"
ROOT_PATH = rf"^((https?://[a-z0-9.-]+(:\d{{1,5}})?)?{_PATH})$"
PREFIX = re.compile(_PATH)
TOKEN = re.compile(r"[!-~]{8,}")  # what fits into an HTTP header as it is
USER_NAME = re.compile(r"[A-Za-z0-9._-]{1,50}")


@dataclass(frozen=True)
class Settings:
    """One field for each entry under `settings:` in the file; HEARTMULA_<FIELD> overrides it."""

    data_dir: Annotated[Folder, BeforeValidator(_or_none), Field(description="a folder")]  # of all that is made
    base_model: Annotated[Text, Field(description="nano, auto, or a folder in heartlib's ckpt/ layout")]
    device: Annotated[str, AfterValidator(_device), Field(description=ALLOWED)]
    checkpoints_dir: Annotated[
        Folder | None,
        BeforeValidator(_or_none),
        Field(description="a folder in heartlib's ckpt/ layout that holds the official checkpoints, or nothing"),
    ]
    catalogues_dir: Annotated[  # whose folders trainings may name as what they learn from
        Folder | None,
        BeforeValidator(_or_none),
        Field(description="a folder with the outputs of `heartmula-studio catalogue`, or nothing"),
    ]
    max_window_sec: Annotated[float, Field(ge=1, le=600)]
    max_song_sec: Annotated[float, Field(ge=1, le=7200)]
    max_track_versions: Annotated[int, Field(ge=1, le=32)]  # where a training says nothing else
    preview_songs: Annotated[int, Field(ge=0, le=8)]  # to listen to along a training, unless it says otherwise
    idle_engine_sec: Annotated[float, Field(ge=1, le=10**7)]  # without a song, until the models are given back
    max_upload_bytes: Bytes  # of one song
    max_files: Annotated[int, Field(ge=1, le=100_000)]  # songs in a dataset
    max_import_bytes: Bytes  # of a checkpoint or dataset made elsewhere
    accelerate_config: Annotated[  # how training is spread over devices and machines; None is this machine alone
        Folder | None, BeforeValidator(_or_none), Field(description="a file made by `accelerate config`, or nothing")
    ]
    executor: Annotated[  # where trainings run: on this machine, or on a Ray cluster
        Literal["local", "ray"], BeforeValidator(_stripped), Field(description="local or ray")
    ]
    ray_address: Annotated[  # of the cluster's head node
        Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:\d{1,5}$")] | None,
        BeforeValidator(_or_none),
        Field(description="host:port of the cluster's head node, or nothing"),
    ]
    song_replicas: Annotated[int, Field(ge=0, le=1000)]  # of the engine, on that cluster; 0: the server makes songs
    host: Annotated[
        Text, Field(description="an address or name of this machine: 127.0.0.1 for itself only, 0.0.0.0 for all others")
    ]
    port: Annotated[int, Field(ge=0, le=65535)]  # 0 is any free one
    root_path: Annotated[  # where a proxy serves the studio
        str,
        BeforeValidator(_without_slash),
        Field(
            pattern=ROOT_PATH,
            description="a path such as /studio, an address such as https://music.example, or nothing",
        ),
    ]
    token: Annotated[  # what REST and the page ask for; None asks for nothing
        Annotated[str, Field(pattern=f"^{TOKEN.pattern}$")] | None,
        BeforeValidator(lambda text: text or None),
        Field(description="8 or more visible ASCII characters without spaces, or nothing"),
    ] = field(repr=False)
    user_tokens: Annotated[  # of people, by their names: whose songs and jobs take turns and are limited
        Mapping[str, str],
        BeforeValidator(_user_tokens),
        Field(description="name=token, name=token, …: names of letters, digits, dots and dashes, each its own token"),
    ] = field(repr=False)
    max_songs_per_user: Annotated[int, Field(ge=1, le=1000)]  # that wait or are being made
    max_jobs_per_user: Annotated[int, Field(ge=1, le=1000)]  # that wait or run
    allow_anonymous: Annotated[bool, Field(description="true or false")]  # serve other machines without a token

    @property
    def has_token(self) -> bool:
        """Whether nobody gets in without one."""
        return self.token is not None or bool(self.user_tokens)

    @property
    def official_dir(self) -> Path:
        """Where the official checkpoints lie, or are downloaded to."""
        return self.checkpoints_dir or self.data_dir / "models"

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
        values = {name: _parse(name, texts[name], f"{name} in {config_path}") for name in _FIELDS}
        folder = Path.cwd() if config_path == INSTALLED_CONFIG_PATH else config_path.parent
        for name in PATHS:
            values[name] = values[name] and folder / values[name]
        if is_space(environ) and SPACE_STORAGE.is_dir():
            values["data_dir"] = SPACE_STORAGE
        for name in _FIELDS:
            for variable in (GRADIO_VARIABLES.get(name), f"HEARTMULA_{name.upper()}"):
                if variable and environ.get(variable):
                    values[name] = _parse(name, environ[variable], variable)
        return cls(**values)


def is_space(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Hugging Face Space."""
    return "SPACE_ID" in environ


def is_zero_gpu(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Space that has a GPU only while a function asks for one."""
    return is_space(environ) and environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def forgets_data(data_dir: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether data goes with the next restart: that of a Space outside its persistent storage."""
    return is_space(environ) and not data_dir.absolute().is_relative_to(SPACE_STORAGE)


_FIELDS: Mapping[str, Any] = get_type_hints(Settings, include_extras=True)


def _parse(name: str, text: str, place: str) -> Any:
    try:
        return TypeAdapter(_FIELDS[name]).validate_python(text)
    except ValidationError:
        info = FieldInfo.from_annotation(_FIELDS[name])
        shown = "not a token" if name in SECRETS else repr(text)
        allowed = info.description or Setting(name, info).allowed
        # The original error would show a secret.
        raise InvalidInputError(f"{place} is {shown}.", f"Allowed: {allowed}.") from None


def _read_file(path: Path) -> dict[str, str]:
    """The `settings:` section as text, like the environment gives it."""
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(f"Cannot read {path} ({error.strerror}).", "Restore it from the project.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} is not YAML ({error}).", "Restore it from the project.") from error
    values = sections.get("settings") if isinstance(sections, dict) else None
    if not isinstance(values, dict) or set(values) != set(_FIELDS):
        found = ", ".join(map(str, values)) if isinstance(values, dict) else "nothing"
        raise InvalidInputError(f"`settings:` in {path} has {found}.", f"It needs exactly {', '.join(_FIELDS)}.")
    return {name: "" if value is None else str(value) for name, value in values.items()}
