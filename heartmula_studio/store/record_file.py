"""JSON files of ours as they are found: a crash, a person or another program may have made anything of them."""

import json
import math
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from heartmula_studio.errors import StorageError
from heartmula_studio.files.regular_file import open_regular

MAX_BYTES = 2**28  # a dataset of 50,000 tracks with lyrics takes a third of it
MAX_DEPTH = 32  # of lists and objects inside each other; ours have at most seven
MAX_WHOLE = 2**63 - 1
MAX_PROBLEMS = 3
RESTORE = "Restore it from a copy, or delete it."

T = TypeVar("T")
_adapters: dict[type, TypeAdapter[Any]] = {}  # building one takes a hundred times as long as using it


def read_json(path: Path) -> Any:
    """Return the value in a file; half a surrogate pair, which cannot be sent on, becomes a question mark.

    Raises FileNotFoundError without the file; StorageError for what is no regular file, over 256 MiB, no JSON in UTF-8,
    too deeply nested, or holds a number that is infinite, none, or has over 64 bits.
    """
    try:
        return parse_json(_read(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}.", "Check the disk and its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {error}.", RESTORE) from error


def parse_json(raw: bytes) -> Any:
    """Return the value of a file, or of a line of one. Raises ValueError, RecursionError."""
    return _plain(_parsed(raw))


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > MAX_BYTES:
            raise ValueError(f"it has {size_bytes:,} bytes, and at most {MAX_BYTES:,} are read")
        return file.read(MAX_BYTES)


def _parsed(raw: bytes) -> Any:
    """Pydantic's parser takes half the time of Python's, and no half of a surrogate pair. Raises ValueError."""
    if b"\\u" not in raw:
        return from_json(raw, allow_inf_nan=False)
    return _without_surrogates(json.loads(raw.decode("utf-8")))


def _plain(value: Any) -> Any:
    """Return the value, level by level found to hold nothing that cannot be sent on. Raises ValueError."""
    level = [value]
    for _ in range(MAX_DEPTH):
        for item in level:
            if isinstance(item, float) and not math.isfinite(item):
                raise ValueError(f"it holds the number {item}")
            if isinstance(item, int) and abs(item) > MAX_WHOLE:
                raise ValueError("it holds a number of over 64 bits")
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
        if not level:
            return value
    raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def _inside(item: dict[str, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item


def _without_surrogates(value: Any) -> Any:
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def quick_json(values: dict[str, Any], indent: int | None) -> bytes | None:
    """Return values, with dataclasses among them, as UTF-8, in an eighth of the time that Python's own encoder takes.

    None for half a surrogate pair, and for what may be a number that is not finite.
    """
    try:
        content = to_json(values, indent=indent, inf_nan_mode="constants")
    except PydanticSerializationError:
        return None
    return None if b"NaN" in content or b"Infinity" in content else content


def validated(kind: type[T], values: Any, path: Path) -> T:
    """Return the values of a file as a dataclass. Raises StorageError naming `path` where they are none."""
    adapter: TypeAdapter[T] = _adapters.get(kind) or _adapters.setdefault(kind, TypeAdapter(kind))
    try:
        return adapter.validate_python(values)
    except (ValidationError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {_problems(error)}.", RESTORE) from error


def _problems(error: Exception) -> str:
    """The first few of what may be as many problems as the record has tracks."""
    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    shown = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)[:MAX_PROBLEMS]]
    return "; ".join(shown)
