"""The files of finished songs: in the format that is wanted, under their titles, several in one zip."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.moving import remove
from heartmula_studio.services.songs.history import song_title
from heartmula_studio.store.archives import zipped_as
from heartmula_studio.store.generations import FORMATS
from heartmula_studio.store.names import safe_filename, split_suffix, unique_filename
from heartmula_studio.store.records import Generation
from heartmula_studio.store.store import Store

if TYPE_CHECKING:  # brings soundfile and Pillow
    from heartmula_studio.codec.cover import Cover

ARCHIVE_NAME = "songs.zip"
HASH_CHARS = 12  # a cover that is another one has another name, so that no browser shows an old one


class SongFiles:
    """Any thread may call any method."""

    def __init__(self, store: Store):
        self._songs = store.generations

    def path(self, id: str, format: str | None = None) -> Path:
        """The finished song's file; in another format than it was made in, it is kept beside it from then on.

        Raises ConflictError while there is none, InvalidInputError for a format that is none, AudioError where the
        song's file is damaged, StorageError.
        """
        self._songs.require_completed(id)
        path = self._songs.song_path(id, format)
        if format is not None and not path.is_file():
            self._convert(id, path)
        return path

    def filename(self, id: str, format: str | None = None) -> str:
        """Return what a song's file is called where people see it. Raises InvalidInputError, NotFoundError."""
        suffix = self._songs.song_path(id, format).suffix
        return safe_filename(song_title(self._songs.get(id)).replace("/", "-").replace("\\", "-") + suffix)

    def archive(self, ids: Sequence[str], format: str | None = None) -> tuple[str, Iterator[bytes]]:
        """Return a file name, and a zip of finished songs, piece by piece, each called by its title.

        format: of all, as `path` has it. Raises InvalidInputError for a format that is none or without songs,
        NotFoundError, ConflictError for a song that is not finished; AudioError and StorageError while it is read.
        """
        if not ids:
            raise InvalidInputError("No songs are chosen.", "Choose one or more.")
        for id in ids:
            self._songs.require_completed(id)
            self._songs.song_path(id, format)
        return ARCHIVE_NAME, zipped_as(self._named(list(dict.fromkeys(ids)), format))

    def retitle(self, song: Generation, title: str) -> None:
        """Change the title in a song's file, and forget it in other formats, which are made of this one.

        Raises AudioError for a damaged file, StorageError. The song's lock must be held.
        """
        from heartmula_studio.services.songs.conversion import retitle

        retitle(self._songs.song_path(song.id), title)
        self._forget_other_formats(song)

    def keep_cover(self, song: Generation, cover: "Cover | None") -> str:
        """Put a cover into a song's file, or take it out; return the name of the image that is kept beside, if any.

        Raises as `retitle`; the song's lock must be held.
        """
        from heartmula_studio.services.songs.conversion import change_cover

        name = f"cover-{cover.sha256[:HASH_CHARS]}{cover.suffix}" if cover else ""
        if cover:
            image = self._songs.folder(song.id) / name
            with disk_explained(image), replaced_file(image) as temporary:
                temporary.write_bytes(cover.data)
        change_cover(self._songs.song_path(song.id), cover)
        self._forget_other_formats(song)
        return name

    def cover_path(self, song: Generation) -> Path:
        """Raises NotFoundError for a song without a cover."""
        if not song.cover:
            raise NotFoundError("The song has no cover.", "Give it one first.")
        return self._songs.folder(song.id) / song.cover

    def _forget_other_formats(self, song: Generation) -> None:
        path = self._songs.song_path(song.id)
        for other in (self._songs.song_path(song.id, format) for format in FORMATS):
            if other != path:
                with disk_explained(other):
                    remove(other)

    def _named(self, ids: Sequence[str], format: str | None) -> Iterator[tuple[str, Path]]:
        """Yield each song's file under a name that no other one has."""
        taken: list[str] = []
        for id in ids:
            name = unique_filename(self.filename(id, format), taken)
            taken.append(split_suffix(name)[0])
            yield name, self.path(id, format)

    def _convert(self, id: str, path: Path) -> None:
        from heartmula_studio.services.songs.conversion import convert

        with self._songs.locked(id):
            if not path.is_file():
                convert(self._songs.song_path(id), path)
