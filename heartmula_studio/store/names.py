"""Names and texts that people give: made safe to show, to write and to compare. They never become paths unchecked."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from heartmula_studio.errors import InvalidInputError

MAX_NAME_CHARS = 200
MAX_TAG_CHARS = 100
MAX_TAGS = 50
REMEMBERED_NAMES = 2**17  # a dataset may have tens of thousands, which each upload is compared with
MAX_STEM_BYTES = 141  # 150 with the longest suffix; the same for any, so that texts and songs of one stem meet
NAMELESS = "song"

_JOINERS = "\u200c\u200d"  # invisible, but part of how Persian words and some emoji are written
_NOT_IN_FILENAMES = frozenset('<>:"/\\|?*')
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9])( *\..*)?", re.IGNORECASE)


def safe_filename(original: str, suffix: str | None = None) -> str:
    """Return a name for a file of ours that is as near to `original` as every system can store it.

    Of a path only the last part counts. The result has no separators, control or direction marks, no dots in front,
    is no Windows device, is in NFC, and takes at most 150 bytes. Its suffix is in lower case, or is `suffix`.
    """
    stem, own_suffix = split_suffix(re.split(r"[/\\]", unicodedata.normalize("NFC", original))[-1])
    return _cut(_safe_stem(stem)) + (suffix or own_suffix.lower())


def safe_stem(name: str) -> str:
    """Return the name of a file, as `safe_filename` would make it, without its suffix."""
    return split_suffix(safe_filename(name))[0]


def unique_filename(filename: str, taken_stems: Iterable[str]) -> str:
    """Return `filename`, with " (2)" or a higher number behind its stem where that stem is taken."""
    taken = {name_key(stem) for stem in taken_stems}
    stem, suffix = split_suffix(filename)
    candidate, number = filename, 1
    while name_key(split_suffix(candidate)[0]) in taken:
        number += 1
        candidate = _cut(stem, f" ({number})") + suffix
    return candidate


def split_suffix(filename: str) -> tuple[str, str]:
    """Return ("song", ".mp3") of "song.mp3"; what follows a dot is no suffix if it is long or not plain."""
    stem, dot, suffix = filename.rpartition(".")
    return (stem, dot + suffix) if _SUFFIX.fullmatch(dot + suffix) else (filename, "")


def name_key(name: str) -> str:
    """Return what two names have in common that differ only in case or Unicode form."""
    return name.lower() if name.isascii() else _folded(name)


@lru_cache(REMEMBERED_NAMES)
def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def clean_line(text: str) -> str:
    """Return text on one line in NFC, without control characters, direction marks or space around it."""
    return " ".join("".join(map(_shown, unicodedata.normalize("NFC", text))).split())


def checked_name(name: str, what: str) -> str:
    """Return a cleaned name. Raises InvalidInputError for an empty or too long one."""
    cleaned = clean_line(name)
    if not 1 <= len(cleaned) <= MAX_NAME_CHARS:
        raise InvalidInputError(
            f"The name of a {what} cannot have {len(cleaned)} characters.", f"Give 1 to {MAX_NAME_CHARS}."
        )
    return cleaned


def checked_tags(tags: Sequence[str], what: str) -> tuple[str, ...]:
    """Return cleaned tags or styles, each once, without empty ones. Raises InvalidInputError over the limits."""
    first: dict[str, str] = {}
    for tag in filter(None, map(clean_line, tags)):
        first.setdefault(name_key(tag), tag)
    unique = tuple(first.values())
    if len(unique) > MAX_TAGS:
        raise InvalidInputError(f"There are {len(unique)} {what}.", f"Give at most {MAX_TAGS}.")
    if too_long := [tag for tag in unique if len(tag) > MAX_TAG_CHARS]:
        raise InvalidInputError(
            f"{too_long[0][:MAX_TAG_CHARS]!r}… has {len(too_long[0])} characters.",
            f"Give {what} of at most {MAX_TAG_CHARS} each.",
        )
    return unique


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Cf") and character not in _JOINERS
    return "" if hidden else character


def _safe_stem(stem: str) -> str:
    kept = clean_line("".join(c for c in stem if c not in _NOT_IN_FILENAMES)).strip(" .")
    if _WINDOWS_DEVICE.fullmatch(unicodedata.normalize("NFKC", kept)):
        return f"_{kept}"
    return kept or NAMELESS


def _cut(stem: str, ending: str = "") -> str:
    """Join the two, cutting the stem where that takes too many bytes."""
    room = MAX_STEM_BYTES - len(ending)
    if len(stem.encode()) > room:
        stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .")
    return unicodedata.normalize("NFC", stem) + ending
