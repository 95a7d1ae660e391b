"""The tags that songs are asked for with: those the model knows best, and a person's own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.errors import ConflictError, InvalidInputError, NotFoundError, StorageError, UploadTooLargeError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.kept_file import KeptFile
from heartmula_studio.files.locks import Locks
from heartmula_studio.store.names import MAX_TAG_CHARS, clean_line, name_key
from heartmula_studio.store.record import Record

MAX_CUSTOM = 500
_log = logging.getLogger(__name__)

BUILTIN = (
    *("pop", "rock", "electronic", "hip-hop", "r&b", "soul", "jazz", "blues", "country", "folk", "classical"),
    *("metal", "punk", "indie", "reggae", "latin", "funk", "disco", "house", "techno", "ambient", "lo-fi", "gospel"),
    *("happy", "sad", "romantic", "energetic", "calm", "dreamy", "melancholic", "uplifting", "dark", "epic"),
    *("nostalgic", "peaceful", "hopeful", "playful"),
    *("piano", "acoustic guitar", "electric guitar", "synthesizer", "drums", "bass", "strings", "violin", "cello"),
    *("saxophone", "trumpet", "flute", "organ", "ukulele", "orchestra"),
    *("slow", "mid-tempo", "fast", "ballad", "dance"),
    *("male vocal", "female vocal", "duet", "choir", "rap", "instrumental"),
)


@dataclass(frozen=True)
class CustomStyles(Record):
    """A person's own tags, in the order they came."""

    custom: tuple[str, ...] = ()


class Styles:
    """The built-in tags, and the custom ones in a file. Any thread may call any method."""

    builtin = BUILTIN

    def __init__(self, path: Path, locks: Locks):
        self._path = path
        self._locks = locks
        self._kept = KeptFile(path, CustomStyles.read)

    def add(self, name: str) -> str:
        """Keep a tag and return it as it is kept.

        Raises InvalidInputError for an empty or too long one, ConflictError for one that is there, in any case;
        UploadTooLargeError for one too many; StorageError.
        """
        name = _checked(name)

        def with_added(custom: tuple[str, ...]) -> tuple[str, ...]:
            if name_key(name) in map(name_key, (*BUILTIN, *custom)):
                raise ConflictError(f"There is a style {name!r} already.", "Use it, or choose another name.")
            if len(custom) >= MAX_CUSTOM:
                raise UploadTooLargeError(f"There are {MAX_CUSTOM} styles of your own.", "Remove one first.")
            return (*custom, name)

        self._change(with_added)
        return name

    def remove(self, name: str) -> None:
        """Forget a custom tag, in any case. Raises NotFoundError for another one, StorageError."""
        key = name_key(clean_line(name))

        def without(custom: tuple[str, ...]) -> tuple[str, ...]:
            kept = tuple(tag for tag in custom if name_key(tag) != key)
            if kept == custom:
                raise NotFoundError(f"There is no style {name!r} of your own.", "Built-in styles stay.")
            return kept

        self._change(without)

    def _change(self, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
        with self._locks.hold("styles"):
            record = CustomStyles(change(self._read()))
            with disk_explained(self._path), replaced_file(self._path) as temporary:
                temporary.write_bytes(record.to_json())

    def _read(self) -> tuple[str, ...]:
        try:
            return CustomStyles.read(self._path).custom
        except FileNotFoundError:
            return ()

    def custom(self) -> tuple[str, ...]:
        """As `list`, and the same tuple for as long as nothing changes."""
        try:
            return self._kept.get().custom
        except FileNotFoundError:
            return ()
        except StorageError as error:
            _log.warning("Your own styles cannot be listed: %s", error)
            return ()

    # Last in the class: after it, `list` here is this method.
    def list(self) -> list[str]:
        """The custom tags, oldest first; none of a damaged file, of which `add` and `remove` say what is wrong."""
        return [*self.custom()]


def _checked(name: str) -> str:
    cleaned = clean_line(name)
    if not 1 <= len(cleaned) <= MAX_TAG_CHARS or "," in cleaned:
        raise InvalidInputError(
            f"A style cannot be called {cleaned[:MAX_TAG_CHARS]!r}.",
            f"Give 1 to {MAX_TAG_CHARS} characters, without a comma: commas separate styles.",
        )
    return cleaned
