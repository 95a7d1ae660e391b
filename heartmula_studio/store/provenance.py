"""How a style from elsewhere came about, as the meta.json in its archive tells it: anybody may have written that."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.store.names import checked_tags, clean_line
from heartmula_studio.store.records import Losses, MergedParent, Rights, TrackRights

MAX_BYTES = 2**22
MAX_TRACKS = 10_000
MAX_PARENTS = 50
MAX_NAME_CHARS = 200
MAX_TRIGGER_CHARS = 60
MAX_DEPTH = 12
MAX_NUMBER = 1e18
UNREADABLE = "The archive's meta.json cannot be read; nothing is known of how the style came about."

Loss = Annotated[float, Field(strict=True, ge=0, le=1e6)]
LOSSES = TypeAdapter(dict[Literal["train", "initial", "eval", "best"], Loss | None])
TRACKS: TypeAdapter[list[dict[str, str]]] = TypeAdapter(Annotated[list[dict[str, str]], Field(max_length=MAX_TRACKS)])
SHA256: TypeAdapter[str] = TypeAdapter(Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")])
PARENTS: TypeAdapter[list[MergedParent]] = TypeAdapter(Annotated[list[MergedParent], Field(max_length=MAX_PARENTS)])
RIGHTS: TypeAdapter[Rights] = TypeAdapter(Rights)
TEXT, TEXTS = TypeAdapter(str), TypeAdapter(list[str])


@dataclass(frozen=True)
class Provenance:
    """What is kept of a meta.json. `base_model` is {"name", "fingerprint"} or {}; `warnings` say what is not kept."""

    base_model: dict[str, str] = field(default_factory=dict)
    styles: tuple[str, ...] = ()
    losses: Losses = Losses()
    rights: tuple[TrackRights, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    trigger_word: str = ""
    merged_from: tuple[MergedParent, ...] = ()
    warnings: tuple[str, ...] = ()


def read_provenance(raw: bytes) -> Provenance:
    """Keep the parts of a meta.json that are what they should be, and name the others."""
    try:
        meta = json.loads(raw) if len(raw) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        return Provenance(warnings=(UNREADABLE,))
    kept, dropped = {}, []
    for name, read in PARTS.items():
        try:
            if meta.get(name) is not None:
                kept[name] = read(meta[name])
        except (ValueError, InvalidInputError):
            dropped.append(name)
    said = (f"The archive's meta.json holds {', '.join(dropped)} that cannot be read, and were left out.",)
    return Provenance(**kept, warnings=said if dropped else ())


def _base_model(value: Any) -> dict[str, str]:
    """Raises ValueError for what names no base."""
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    known = {key: value[key] for key in ("name", "fingerprint") if key in value}
    return {key: clean_line(TEXT.validate_python(text))[:MAX_NAME_CHARS] for key, text in known.items()}


def _styles(value: Any) -> tuple[str, ...]:
    return checked_tags(TEXTS.validate_python(value), "styles")


def _losses(value: Any) -> Losses:
    return Losses(**LOSSES.validate_python(value))


def _rights(value: Any) -> tuple[TrackRights, ...]:
    return tuple(
        TrackRights(
            clean_line(track.get("filename", ""))[:MAX_NAME_CHARS],
            SHA256.validate_python(track.get("sha256")),
            RIGHTS.validate_python(track.get("rights")),
        )
        for track in TRACKS.validate_python(value)
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    values: dict[str, Any] = _plain(value, MAX_DEPTH)
    return values


def _trigger_word(value: Any) -> str:
    word = clean_line(TEXT.validate_python(value))
    if len(word) > MAX_TRIGGER_CHARS or set(word) & set(",<>"):
        raise ValueError("it is not a word")
    return word


def _plain(value: Any, depth: int) -> Any:
    """Return a JSON value in text that can be sent on. Raises ValueError for senseless numbers and deep nesting."""
    if depth == 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        return {_plain(key, depth): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise ValueError("it contains an invalid number")
    return value


def _merged_from(value: Any) -> tuple[MergedParent, ...]:
    return tuple(
        replace(parent, name=clean_line(parent.name)[:MAX_NAME_CHARS], id=clean_line(parent.id)[:MAX_NAME_CHARS])
        for parent in PARENTS.validate_python(value)
        if SHA256.validate_python(parent.sha256)
    )


PARTS: dict[str, Callable[[Any], Any]] = {
    "base_model": _base_model,
    "styles": _styles,
    "losses": _losses,
    "rights": _rights,
    "recipe": _object,
    "figures": _object,
    "trigger_word": _trigger_word,
    "merged_from": _merged_from,
}
