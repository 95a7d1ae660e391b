"""Files of one JSON object a line, written by workers: read from any place or from the end.

A line that was torn when a worker was killed is no line.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heartmula_studio.files.regular_file import NotRegularFileError, open_regular

_BLOCK_BYTES = 1 << 16


def lines_after(path: Path, offset: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset behind the line, object) of each whole line from the first that begins at `offset` or later.

    Lines that were torn when a worker was killed are left out. An offset beyond the end counts as the end: a resumed
    run drops what it will do again.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            position = min(max(offset, 0), size)
            file.seek(max(position - 1, 0))
            if position and file.read(1) != b"\n":
                file.readline()
            while (line := file.readline()).endswith(b"\n"):
                if (values := _parsed(line)) is not None:
                    yield file.tell(), values
    except (FileNotFoundError, NotRegularFileError):
        return


def lines_backwards(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of lines from its last whole line to its first, reading no more than is asked for."""
    try:
        with open_regular(path) as file:
            end, tail = file.seek(0, 2), b""
            is_whole = False  # the last piece is whole only if a line end follows it
            while end:
                start = max(end - _BLOCK_BYTES, 0)
                file.seek(start)
                pieces = (file.read(end - start) + tail).split(b"\n")
                end, tail = start, pieces[0]
                for piece in reversed(pieces[1:]):
                    if is_whole and (values := _parsed(piece)) is not None:
                        yield values
                    is_whole = True
            if is_whole and (values := _parsed(tail)) is not None:
                yield values
    except (FileNotFoundError, NotRegularFileError):
        return


def last_line(path: Path) -> dict[str, Any]:
    """Read the last whole line of a file of lines; empty where there is none."""
    return next(lines_backwards(path), {})


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(line, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _finite(text: str) -> float:
    """Read a number. Raises ValueError for NaN and infinity, which no answer can hold."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
