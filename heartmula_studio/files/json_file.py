"""JSON objects from files, as plain dicts or as configuration dataclasses, with errors that name the file."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin, get_type_hints

from heartmula_studio.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointMissingError,
)
from heartmula_studio.files.git_lfs import explain_unreadable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


def read_json_object(path: Path, hint: str) -> dict[str, Any]:
    """Read a file that holds one JSON object. `hint` says where a good one can be had.

    Raises CheckpointMissingError, or CheckpointCorruptError where it is unreadable or holds anything else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise CheckpointMissingError(f"{path} is missing.", hint) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointCorruptError(explain_unreadable(path, f"is not valid JSON: {error}"), hint) from error
    if not isinstance(value, dict):
        raise CheckpointCorruptError(f"{path} holds a {type(value).__name__} instead of a JSON object.", hint)
    return value


def dataclass_from_json(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Build a configuration dataclass from the keys that it knows. Raises ValueError for a value of another type."""
    hints = get_type_hints(kind)
    known = {field.name: values[field.name] for field in fields(kind) if field.name in values}
    for name, value in known.items():
        if not is_of_type(value, hints[name]):
            raise ValueError(f"{name} is {value!r}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})


def is_of_type(value: object, kind: type) -> bool:
    """Whether a JSON value fits a field of type int, float, bool, str, tuple[int, ...] or a class."""
    if get_origin(kind) is tuple:
        return isinstance(value, list | tuple) and all(isinstance(item, int) for item in value)
    return isinstance(value, int | float if kind is float else kind)


@contextmanager
def config_errors_name(path: str | Path) -> Iterator[None]:
    """Turn whatever senseless values raise into a CheckpointMismatchError that names the config they came from."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # the libraries below raise whatever such values lead them to
        problem = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise CheckpointMismatchError(
            f"{path} does not describe a network that can be built: {problem}.",
            "Take the config that belongs to these weights from where they came.",
        ) from error
