"""Lyrics, tags and rights of a track among the columns of a data set that somebody else made."""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.lyrics.formats import stamp
from heartmula_studio.lyrics.sections import section_mark

NAME_COLUMNS = ("file_name", "filename", "__key__")
AUDIO_COLUMNS = (
    *("audio", "file", "path", "file_name", "filename", "audio_file", "audio_path", "audio_filepath", "audio_filename"),
    *("audio_file_name", "audio_file_path", "file_path", "filepath", "song_path", "location"),
    *("mp3", "wav", "flac", "ogg", "opus"),  # as WebDataset names them
)
TITLE_COLUMNS = ("song", "track", "music", "recording")  # of audio or of its title
RATE_COLUMNS = ("sampling_rate", "sample_rate", "samplerate", "sr")
LYRICS_COLUMNS = (
    *("synced_lyrics", "syncedlyrics", "lrc", "lyrics", "lyric", "plain_lyrics", "plainlyrics"),
    *("splitted_lyrics", "segmented_lyrics", "segments", "chunks"),  # with times, of YuE and Whisper
    *("sentence", "transcription", "transcript", "text"),
)
UNCLEAR_COLUMN = "text"  # of lyrics, or of a description
TAGS_COLUMNS = ("tags", "tag", "genre", "genres", "style", "styles", "style_tags", "keywords", "label", "labels")
DESCRIPTION_COLUMNS = ("caption", "prompt", "description")
RIGHTS_COLUMNS = ("rights", "licence", "license")
ENDING_COLUMN, STYLES_COLUMN = "ending", "dataset_styles"  # as this studio writes them
NESTED_COLUMN = "json"  # a WebDataset sample's own record
WORD_COLUMNS = (
    *(*LYRICS_COLUMNS, *TAGS_COLUMNS, *DESCRIPTION_COLUMNS, *RIGHTS_COLUMNS),
    *(*NAME_COLUMNS, *RATE_COLUMNS, NESTED_COLUMN, ENDING_COLUMN, STYLES_COLUMN),
)

_START_KEYS = ("start", "start_time", "starttimems", "begin", "time", "offset", "timestamp")
_TEXT_KEYS = (*LYRICS_COLUMNS, "line_content", "words", "line")
_LONGEST_SONG_SEC = 3600  # a time beyond it is in milliseconds
_MUSIC_WORD = re.compile(
    r"\b(?:pop|rock|electronic|electro|hip[- ]?hop|r&b|soul|jazz|blues|country|folk|classical|metal|punk|indie|reggae"
    r"|latin|funk|disco|house|techno|trance|trap|ambient|lo-?fi|gospel|edm|synth\w*|drums?|bass|guitars?|piano|strings"
    r"|violin|cello|sax\w*|trumpet|flute|organ|orchestr\w*|vocals?|singer|voice|choir|duet|rap|instrumental|acoustic"
    r"|ballad|tempo|bpm|upbeat|downtempo|melod\w+|(?:[a-g][#b♯♭]? (?:major|minor)))\b",
    re.IGNORECASE,
)
_LONGEST_TAG_WORDS = 5
_ENDINGS = ("as_heard", "ends", "cut_off")
_RIGHTS = ("own", "licensed", "public_domain", "unknown")
_PUBLIC_DOMAIN = re.compile(
    r"cc_?(0|zero).*|creative_?commons_(0|zero).*|pd|pdm|publicdomain|.*creativecommons\.org/publicdomain/.*"
)
_LICENSED = re.compile(r"cc_by.*|by(_nc|_sa|_nd)*(_\d\.\d)?|creative_?commons.*|.*creativecommons\.org/licenses/.*")


@dataclass(frozen=True)
class TrackWords:
    """What is said of a track; empty where nothing is. `license` is one that none of the four kinds of rights fits.

    `styles` are those of the dataset that it comes from.
    """

    lyrics: str = ""
    tags: tuple[str, ...] = ()
    rights: str = "unknown"
    license: str = ""
    ending: str = ""
    styles: tuple[str, ...] = ()

    def or_else(self, other: "TrackWords") -> "TrackWords":
        """Fill what is missing from `other`."""
        stated = self if self.rights != "unknown" or self.license else other
        said = self.lyrics or other.lyrics, self.tags or other.tags, stated.rights, stated.license
        return TrackWords(*said, self.ending or other.ending, self.styles or other.styles)


def column_key(name: str) -> str:
    """What spellings of a column have in common: "File Name", "file-name" and "file_name" are one."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def words_of(row: Mapping[str, Any], class_names: Mapping[str, Sequence[str]] | None = None) -> TrackWords:
    """Read a row by the keys of its columns.

    A text that describes the music is no lyrics: it gives tags where there are none. class_names: those of `ClassLabel`
    columns.
    """
    names = class_names or {}

    def first(columns: Sequence[str]) -> tuple[Any, list[str]]:
        cells = ((row.get(name), texts_of(row.get(name), names.get(name))) for name in columns)
        return next((cell for cell in cells if any(map(str.strip, cell[1]))), (None, []))

    cell, tags = first(TAGS_COLUMNS)
    if isinstance(cell, str) and len(tags) == 1:
        tags = split_tags(tags)
    rights, unknown = rights_of(" ".join(first(RIGHTS_COLUMNS)[1]).strip())
    (said, lines), described = first(LYRICS_COLUMNS), "\n".join(first(DESCRIPTION_COLUMNS)[1])
    lyrics = "\n".join(lines)
    if not lyrics and _is_sung(described):
        lyrics, described = described, ""
    if said is row.get(UNCLEAR_COLUMN) and is_list_of_tags(lyrics):
        lyrics, described = "", described or lyrics
    tags = tags if any(map(str.strip, tags)) else tags_of(described)
    ending = next((text for text in first([ENDING_COLUMN])[1] if text in _ENDINGS), "")
    return TrackWords(lyrics, _filled(tags), rights, unknown, ending, _filled(first([STYLES_COLUMN])[1]))


def _filled(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def is_list_of_tags(text: str) -> bool:
    """Whether a text is no lyrics but tags, as other trainers keep them: "pop, female vocal, 120 bpm" on one line."""
    tags = split_tags(text)
    is_list = "\n" not in text.strip() and 1 < len(tags) == len(set(tags))
    is_short = all(len(tag.split()) <= _LONGEST_TAG_WORDS for tag in tags)
    return is_list and is_short and 2 * sum(bool(_MUSIC_WORD.search(tag)) for tag in tags) >= len(tags)


def tags_of(description: str) -> list[str]:
    """The parts of a description of the music, of which none has a full stop behind it."""
    return [tag.removesuffix(".") for tag in split_tags(" ".join(description.split()))]


def _is_sung(text: str) -> bool:
    """Whether what is called a caption has lines or marks, as only lyrics have."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 or any(section_mark(line) or line.lstrip().startswith("[") for line in lines)


def texts_of(value: Any, class_names: Sequence[str] | None = None) -> list[str]:
    """Flatten a cell to its texts: of lists and records their parts, of timed ones LRC, of nulls and NaN nothing."""
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return []
    if isinstance(value, str):
        parts = _listed(value)
        return [value] if parts is None else texts_of(parts)
    if isinstance(value, Mapping):
        lines = next((value[name] for name in _TEXT_KEYS if name in value), list(value.values()))
        return _stamped(_start_of(value), texts_of(lines))
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [text for part in value for text in texts_of(part, class_names) or [""]]
    if isinstance(value, int) and class_names is not None:
        return [class_names[value]] if 0 <= value < len(class_names) else []
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [] if isinstance(value, bytes) else [str(value)]


def _start_of(record: Mapping[Any, Any]) -> float | None:
    """When a record of a line begins, in seconds, however its maker says it; None where it does not."""
    keys = {str(key).lower(): value for key, value in record.items()}
    name = next((name for name in _START_KEYS if keys.get(name) is not None), None)
    if name is None or not keys.keys() & set(_TEXT_KEYS):
        return None
    value = keys[name]
    if isinstance(value, Mapping):
        value = value.get("total")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    is_in_ms = name.endswith("ms") or seconds > _LONGEST_SONG_SEC
    return seconds / 1000 if is_in_ms else seconds if 0 <= seconds < math.inf else None


def _stamped(start_sec: float | None, texts: list[str]) -> list[str]:
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    is_plain = start_sec is None or any(line.startswith("[") and line[1:2].isdigit() for line in lines)
    return texts if is_plain or start_sec is None else [stamp(start_sec) + line for line in lines]


def rights_of(text: str) -> tuple[str, str]:
    """Return which of the four kinds of rights a note or licence means, and the text itself where none does."""
    plain = re.sub(r"[\s-]+", "_", text.lower())
    if plain in _RIGHTS or not plain:
        return plain or "unknown", ""
    if _PUBLIC_DOMAIN.fullmatch(plain):
        return "public_domain", ""
    return ("licensed", "") if _LICENSED.fullmatch(plain) else ("unknown", text)


def _listed(text: str) -> list[str] | None:
    """The list that a text spells, as JSON or as Python writes it; None where it is plain text."""
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
