"""Progress of tokenizing a job's songs: the lines of its preprocess.jsonl, written and read here only."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from heartmula_studio.files.jsonl import last_line, lines_after
from heartmula_studio.finetune.events import Count


@dataclass(frozen=True)
class TokenizingProgress:
    """Song number `song_index` of `songs`, counted from 1: `done` of `total` parts, and its `frames` or its `error`."""

    song: str
    song_index: Count
    songs: Count
    done: Count | None = None
    total: Count | None = None
    frames: Count | None = None
    error: str | None = None

    def append_to(self, path: Path) -> None:
        values = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def last_progress(path: Path) -> TokenizingProgress | None:
    """Return the last line, None where there is none or it is damaged."""
    return _from_line(last_line(path))


def read_progress(path: Path) -> Iterator[TokenizingProgress]:
    """Yield all lines that are whole."""
    return filter(None, (_from_line(line) for _, line in lines_after(path, 0)))


def _from_line(line: Mapping[str, Any]) -> TokenizingProgress | None:
    try:
        return _adapter().validate_python(line)
    except ValidationError:
        return None


@functools.cache
def _adapter() -> TypeAdapter[TokenizingProgress]:
    return TypeAdapter(TokenizingProgress)
