"""The base of what is stored: its JSON form with a schema number."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from heartmula_studio.errors import InvalidInputError, StorageError
from heartmula_studio.store.record_file import MAX_BYTES, quick_json, read_json, validated

SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """Base of what lies in a folder's JSON file."""

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    def to_json(self, indent: int | None = 1) -> bytes:
        """UTF-8 for the file; without `indent`, on one line.

        Numbers must be finite; half a surrogate pair becomes a question mark.
        Raises InvalidInputError for more than `read` takes.
        """
        content = quick_json({"schema": SCHEMA, **vars(self)}, indent) or self._careful_json(indent)
        if len(content) > MAX_BYTES:
            raise InvalidInputError(
                f"All lyrics and tags together have {len(content):,} bytes.", f"At most {MAX_BYTES:,} can be kept."
            )
        return content

    def _careful_json(self, indent: int | None) -> bytes:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent, allow_nan=False).encode("utf-8", "replace")

    @classmethod
    def from_dict(cls, values: Any, path: Path) -> Self:
        """Raises StorageError naming `path` for another schema, or values that are no such record."""
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise StorageError(
                f"{path} has schema {schema!r}.", f"This version reads schema {SCHEMA}; use the one that wrote it."
            )
        return validated(cls, {name: value for name, value in values.items() if name != "schema"}, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises StorageError where the file cannot be read or holds something else; FileNotFoundError without it."""
        return cls.from_dict(read_json(path), path)
