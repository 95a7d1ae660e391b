"""Lyrics, tags and rights of a track among the columns of a data set that somebody else made."""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heartmula_studio.dataset.prompt import split_tags

AUDIO_COLUMNS = (
    *("audio", "file", "path", "file_name", "filename", "audio_file", "audio_path", "audio_filepath"),
    *("mp3", "wav", "flac", "ogg", "opus"),  # as WebDataset names them
)
LYRICS_COLUMNS = ("lyrics", "lyric", "text", "caption", "transcription", "transcript")
TAGS_COLUMNS = ("tags", "tag", "genre", "genres", "style", "styles", "label", "labels")
RIGHTS_COLUMNS = ("rights", "licence", "license")
NAME_COLUMNS = ("file_name", "filename", "__key__")
NESTED_COLUMN = "json"  # a WebDataset sample's own record
WORD_COLUMNS = (*LYRICS_COLUMNS, *TAGS_COLUMNS, *RIGHTS_COLUMNS, *NAME_COLUMNS, NESTED_COLUMN)

_RIGHTS = ("own", "licensed", "public_domain", "unknown")
_PUBLIC_DOMAIN = re.compile(
    r"cc_?(0|zero).*|creative_?commons_(0|zero).*|pd|pdm|publicdomain|.*creativecommons\.org/publicdomain/.*"
)
_LICENSED = re.compile(r"cc_by.*|by(_nc|_sa|_nd)*(_\d\.\d)?|creative_?commons.*|.*creativecommons\.org/licenses/.*")


@dataclass(frozen=True)
class TrackWords:
    """What is said of a track; empty where nothing is. `license` is one that none of the four kinds of rights fits."""

    lyrics: str = ""
    tags: tuple[str, ...] = ()
    rights: str = "unknown"
    license: str = ""

    def or_else(self, other: "TrackWords") -> "TrackWords":
        """Fill what is missing from `other`."""
        stated = self if self.rights != "unknown" or self.license else other
        return TrackWords(self.lyrics or other.lyrics, self.tags or other.tags, stated.rights, stated.license)


def words_of(
    row: Mapping[str, Any], class_names: Mapping[str, Sequence[str]] | None = None, is_csv: bool = False
) -> TrackWords:
    """Read a row whose column names are in lower case.

    class_names: those of `ClassLabel` columns. is_csv: lists come as text, since a CSV cell can hold nothing else.
    """
    names = class_names or {}

    def first(columns: Sequence[str]) -> tuple[Any, list[str]]:
        cells = ((row.get(name), texts_of(row.get(name), names.get(name), is_csv)) for name in columns)
        return next((cell for cell in cells if any(map(str.strip, cell[1]))), (None, []))

    cell, tags = first(TAGS_COLUMNS)
    if isinstance(cell, str) and len(tags) == 1:
        tags = split_tags(tags)
    rights, unknown = rights_of(" ".join(first(RIGHTS_COLUMNS)[1]).strip())
    lyrics = "\n".join(first(LYRICS_COLUMNS)[1])
    return TrackWords(lyrics, tuple(tag.strip() for tag in tags if tag.strip()), rights, unknown)


def texts_of(value: Any, class_names: Sequence[str] | None = None, is_csv: bool = False) -> list[str]:
    """Flatten a cell to its texts: of lists and records their parts, of nulls and NaN nothing."""
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return []
    if isinstance(value, str):
        parts = _listed(value) if is_csv else None
        return [value] if parts is None else texts_of(parts)
    if isinstance(value, Mapping):
        lines = next((value[name] for name in LYRICS_COLUMNS if name in value), list(value.values()))
        return texts_of(lines)
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [text for part in value for text in texts_of(part, class_names) or [""]]
    if isinstance(value, int) and class_names is not None:
        return [class_names[value]] if 0 <= value < len(class_names) else []
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [] if isinstance(value, bytes) else [str(value)]


def rights_of(text: str) -> tuple[str, str]:
    """Return which of the four kinds of rights a note or licence means, and the text itself where none does."""
    plain = re.sub(r"[\s-]+", "_", text.lower())
    if plain in _RIGHTS or not plain:
        return plain or "unknown", ""
    if _PUBLIC_DOMAIN.fullmatch(plain):
        return "public_domain", ""
    return ("licensed", "") if _LICENSED.fullmatch(plain) else ("unknown", text)


def _listed(text: str) -> list[str] | None:
    """The list that a CSV cell spells, as JSON or as Python writes it; None where it is plain text."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            parts = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return parts
    return None
