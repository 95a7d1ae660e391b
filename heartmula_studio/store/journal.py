"""The edits of a large dataset since its manifest was written, one a line, in a file beside it.

A manifest names its journal. It is written anew, and names a new and empty one, when the journal has become long. So an
edit takes as long as what it changes, and a dataset is read as whole as it was written, whatever was killed when.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import RawIOBase
from pathlib import Path

from heartmula_studio.errors import StorageError
from heartmula_studio.files.atomic import flush_to_disk
from heartmula_studio.files.regular_file import open_regular
from heartmula_studio.store.record import Record
from heartmula_studio.store.record_file import parse_json
from heartmula_studio.store.records import AudioFile, Dataset

JOURNALED_TRACKS = 500  # of a dataset of more, edits are journaled
ROOM_BYTES = 2**20
ROOM_SHARE = 4  # of a manifest's size: writing it anew costs each edit no more than a few times its own size
PATTERN = "journal-*.jsonl"
BLOCK_BYTES = 2**16


@dataclass(frozen=True)
class Edit(Record):
    """What becomes of a dataset: all but its tracks, tracks that are new or changed, and names of those that are gone.

    Changed tracks keep their places, new ones come last.
    """

    dataset: Dataset
    tracks: tuple[AudioFile, ...]
    removed: tuple[str, ...]

    @classmethod
    def between(cls, before: Dataset, after: Dataset) -> "Edit | None":
        """Return what leads from one to the other; None for what no such edit can say: another order."""
        rest = replace(after, audio_files=())
        if len(before.audio_files) == len(after.audio_files):
            pairs = [
                (old, new) for old, new in zip(before.audio_files, after.audio_files, strict=True) if new is not old
            ]
            if all(new.filename == old.filename for old, new in pairs):
                return cls(rest, tuple(new for _, new in pairs), ())
        known = {track.filename: track for track in before.audio_files}
        new = tuple(track for track in after.audio_files if known.get(track.filename) is not track)
        removed = known.keys() - {track.filename for track in after.audio_files}
        edit = cls(rest, new, tuple(removed))
        return edit if edited(before, [edit]) == after else None


def edited(dataset: Dataset, edits: Iterable[Edit]) -> Dataset:
    """Return a dataset after edits in their order."""
    tracks, rest = {track.filename: track for track in dataset.audio_files}, dataset
    for edit in edits:
        for name in edit.removed:
            tracks.pop(name, None)
        tracks.update((track.filename, track) for track in edit.tracks)
        rest = edit.dataset
    return replace(rest, audio_files=tuple(tracks.values()))


class Journal:
    """One file of edits. What follows the last whole line was torn when its writer was killed: it does not count."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def create(cls, folder: Path) -> "Journal":
        """Make an empty one of a new name. Raises OSError."""
        journal = cls(folder / PATTERN.replace("*", secrets.token_hex(4)))
        with journal.path.open("xb") as file:
            os.fsync(file.fileno())
        flush_to_disk(folder)
        return journal

    def read(self, offset: int) -> tuple[list[Edit], int]:
        """Return the edits behind `offset`, and where they end.

        Raises FileNotFoundError without the file, StorageError where it is damaged.
        """
        with open_regular(self.path) as file:
            file.seek(offset)
            lines = file.read().rpartition(b"\n")[0]
        return list(self._edits(lines)), offset + len(lines) + bool(lines)

    def _edits(self, lines: bytes) -> Iterator[Edit]:
        for line in lines.splitlines():
            try:
                values = parse_json(line)
            except ValueError as error:
                raise StorageError(f"{self.path} is damaged: {error}.", "Restore it from a copy.") from error
            yield Edit.from_dict(values, self.path)

    def append(self, line: bytes) -> int:
        """Write a line behind the last whole one; return where it ends. Nobody else writes meanwhile.

        Raises OSError; the line is then not there.
        """
        with self.path.open("r+b", buffering=0) as file:
            end = _end_of_lines(file)
            try:
                file.truncate(end)
                file.seek(end)
                _write_all(file, line + b"\n")
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # a torn line does not count
                    file.truncate(end)
                raise
        return end + len(line) + 1


def _end_of_lines(file: RawIOBase) -> int:
    """Return where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - BLOCK_BYTES, 0)
        file.seek(start)
        before, line_end, _ = (file.read(end - start) or b"").rpartition(b"\n")
        if line_end:
            return start + len(before) + 1
        end = start
    return 0


def _write_all(file: RawIOBase, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
