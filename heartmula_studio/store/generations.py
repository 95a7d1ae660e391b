"""Songs that were asked for, and what came of it."""

from pathlib import Path
from typing import get_args

from heartmula_studio.errors import ConflictError, InvalidInputError
from heartmula_studio.store.collection import Collection, remove_if_old
from heartmula_studio.store.records import Generation, SongFormat

FORMATS: tuple[SongFormat, ...] = get_args(SongFormat)
SUFFIXES: dict[SongFormat, str] = {"wav24": ".24bit.wav"}


class Generations(Collection[Generation]):
    """generations/{id}/manifest.json, the song beside it, and the same song in formats that were asked for later."""

    kind = "generations"
    noun = "song"
    record_type = Generation

    def song_path(self, id: str, format: str | None = None) -> Path:
        """Where the song lies, or will lie: as it was made, or in another format.

        Raises InvalidInputError for a format that is none; NotFoundError and StorageError as `get`.
        """
        return self.folder(id) / song_filename(checked_format(format or self.get(id).format))

    def require_completed(self, id: str) -> None:
        """Raise ConflictError where there is no song to play; NotFoundError and StorageError as `get`."""
        status = self.get(id).status
        if status != "completed":
            raise ConflictError(f"The song is {status}.", "Only completed songs can be played.")

    def recover(self) -> None:
        super().recover()
        for path in self.root.glob("[!.]*/.tmp-*"):
            remove_if_old(path)


def checked_format(format: str) -> SongFormat:
    """Raises InvalidInputError for a format that is none."""
    for known in FORMATS:
        if format == known:
            return known
    raise InvalidInputError(f"The format is {format!r}.", f"Allowed: {', '.join(FORMATS)}.")


def suffix_of(format: SongFormat) -> str:
    """Return what the name of a file in a format ends in."""
    return SUFFIXES.get(format, f".{format}")


def song_filename(format: SongFormat) -> str:
    """Return what the song of a folder is called in a format."""
    return f"song{suffix_of(format)}"
