"""The receipt of a song: everything needed to know how it was made, and to make it again."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from heartmula_studio import __version__
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SongRequest

SCHEMA = 2
SOURCE = "Give the file beside a generated song, whole."


@dataclass(frozen=True)
class StyleRecord:
    """Which trained style was active. `sha256` is that of the weights file.

    `strength` is that of all layers but those that have one of their own.
    `provenance` is the SHA-256 of the provenance.json beside it, which tells base, adapter and training set.
    `origin` is {"hub", "revision"} of one from the Hugging Face Hub.
    """

    id: str
    method: str
    sha256: str
    strength: float
    layers_changed: int
    provenance: str | None = None
    origin: dict[str, str] = field(default_factory=dict)
    attention_strength: float | None = None
    mlp_strength: float | None = None
    trigger_word: str = ""  # put before the request's tags
    name: str = ""


@dataclass(frozen=True)
class Receipt:
    """One song's making. `created_at` is UTC, ISO 8601.

    `styles` are all that were active, none for the base model alone; `style` is the first one.
    `codec_id` names the codec that turned the codes into sound, with `decode_steps` of flow matching under a guidance
    of `decode_guidance`, from noise of `decode_seed`, or of the request's seed where that is None, in `decode_windows`,
    which are whole or growing. `takes` are the seeds of all songs that were made side by side with it, in order, none
    where it was alone: only with these is it the same bit for bit. `num_beside` counts the songs of others that were
    made beside it, of whose words nothing is told: alone, it is the same but for rounding. `ended` is whether it came
    to an end before the longest that it might get; `tried` are the seeds of the takes that were made one after the
    other until one did, its own the last, none where that was not wanted. A song that goes on from
    another one begins with `prefix_frames` of it, whose hash is `prefix_sha256`, and one of which a stretch alone was
    remade ends with `suffix_frames`. `codes_sha256` and `sound_sha256` are hashes of the codes (see `SongCodes`) and
    of the samples as decoded (see `SoundDigest`); songs of earlier releases have none. Where the request has a
    loudness, `gain_db` was added to the samples, and `loudness_lufs` is what came of it.
    """

    base: str
    base_fingerprint: str
    style: StyleRecord | None
    request: SongRequest
    frames: int
    duration_sec: float
    sample_rate_hz: int
    codec_id: str
    decode_steps: int
    decode_guidance: float
    device: str
    dtype: str
    versions: dict[str, str]
    created_at: str
    styles: tuple[StyleRecord, ...] = ()
    decode_seed: int | None = None
    decode_windows: Literal["whole", "growing"] = "whole"
    takes: tuple[int, ...] = ()
    num_beside: int = 0
    tried: tuple[int, ...] = ()
    ended: bool | None = None
    prefix_frames: int = 0
    prefix_sha256: str = ""
    suffix_frames: int = 0
    suffix_sha256: str = ""
    codes_sha256: str = ""
    sound_sha256: str = ""
    gain_db: float = 0.0
    loudness_lufs: float | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Receipt":
        """Read a receipt. Raises InvalidInputError where the text is not a receipt of a schema known here."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"The receipt is not JSON: {error}.", SOURCE) from error
        return cls.from_dict(record)

    @classmethod
    def from_dict(cls, record: object) -> "Receipt":
        """Read what `to_json` wrote. Raises InvalidInputError where it is not a receipt of a schema known here."""
        schema = record.get("schema") if isinstance(record, dict) else None
        if not isinstance(record, dict) or schema != SCHEMA:
            raise InvalidInputError(f"The receipt has schema {schema!r}.", f"This version reads schema {SCHEMA}.")
        earlier = {} if "styles" in record or not record.get("style") else {"styles": [record["style"]]}
        stored = record.get("request")
        request = {"request": SongRequest.stored(stored)} if isinstance(stored, dict) else {}
        try:
            receipt: Receipt = TypeAdapter(cls).validate_python(record | earlier | request)
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise InvalidInputError(f"The receipt cannot be used: {where}: {problem['msg']}.", SOURCE) from error
        return receipt


def receipt_path(song: Path) -> Path:
    """Return where a song's receipt lies: beside it, under its whole name, so that no two files share one."""
    return song.with_name(f"{song.name}.json")


def prefix_path(song: Path) -> Path:
    """Return where the codes lie that a song goes on from."""
    return song.with_name(f"{song.name}.prefix.safetensors")


def suffix_path(song: Path) -> Path:
    """Return where the codes lie that a song ends with, of which a stretch alone is remade."""
    return song.with_name(f"{song.name}.suffix.safetensors")


def codes_path(song: Path) -> Path:
    """Return where a song's codes lie: beside it, as its receipt."""
    return song.with_name(f"{song.name}.codes.safetensors")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a song sounds like."""
    return {"heartmula_studio": __version__} | {name: version(name) for name in ("torch", "peft", "transformers")}


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
