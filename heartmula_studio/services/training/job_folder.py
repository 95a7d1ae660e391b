"""A job's folder: that of its training run, with more files through which its worker and the server talk.

    songs.json       what the job learns from, as it was when the job was made
    worker.json      the process at work, written by itself
    worker.txt       what it prints
    worker.lock      locked while any process of it lives, which has it as its standard input
    preprocess.jsonl how far tokenizing is
    failure.json     why it ended before training began
    exit.json        the exit code of one on a cluster, written by what ran it there

The rest is the run's, see `RunFolder`.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heartmula_studio.errors import StudioError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.file_lock import is_locked
from heartmula_studio.files.moving import remove
from heartmula_studio.finetune.events import drop_ending
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.store import record_file
from heartmula_studio.store.record import Record
from heartmula_studio.store.record_file import validated
from heartmula_studio.store.records import Ending, Failure, Rights, TrackRights, Worker

CANCELLED = "cancelled"  # the code of a failure that is none: tokenizing was asked to stop


@dataclass(frozen=True)
class JobTrack:
    """One song of a job; `audio` and `tokens` are absolute paths."""

    filename: str
    audio: str
    tokens: str
    sha256: str
    lyrics: str
    tags: tuple[str, ...]
    rights: Rights
    duration_sec: float
    ending: Ending = "as_heard"


@dataclass(frozen=True)
class SongList(Record):
    """songs.json: the dataset as it was, and what the checkpoint will be called (None: after the dataset).

    `catalogue` is the folder of one that is learnt from where it lies; there are no songs then.
    """

    styles: tuple[str, ...]
    songs: tuple[JobTrack, ...]
    checkpoint_name: str | None = None
    catalogue: str = ""

    def rights(self) -> tuple[TrackRights, ...]:
        return tuple(TrackRights(song.filename, song.sha256, song.rights) for song in self.songs)


@dataclass(frozen=True)
class WorkerExit:
    """exit.json: negative where a signal ended the worker."""

    code: int


class JobFolder(RunFolder):
    """Paths of one job and the small files its worker and the server exchange."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.songs, self.output, self.preprocess = path / "songs.json", path / "worker.txt", path / "preprocess.jsonl"
        self._failure, self._worker, self._exit = path / "failure.json", path / "worker.json", path / "exit.json"
        self.worker_lock = path / "worker.lock"

    def is_worked_on(self) -> bool:
        """Tell whether any process of a worker lives."""
        # The output is locked by workers that an earlier release started.
        return is_locked(self.worker_lock) or is_locked(self.output)

    def read_songs(self) -> SongList:
        return SongList.read(self.songs)

    def write_songs(self, songs: SongList) -> None:
        with replaced_file(self.songs) as temporary:
            temporary.write_bytes(songs.to_json())

    def read_worker(self) -> Worker | None:
        """Raises StorageError where the file is damaged."""
        values = read_json(self._worker)
        return validated(Worker, values, self._worker) if values else None

    def write_worker(self, worker: Worker) -> None:
        write_json(self._worker, dataclasses.asdict(worker))

    def read_failure(self) -> Failure | None:
        """Raises StorageError where the file is damaged."""
        values = read_json(self._failure)
        return validated(Failure, values, self._failure) if values else None

    def write_failure(self, error: StudioError) -> None:
        write_json(self._failure, {"code": error.code, "message": error.message, "hint": error.hint})

    def read_exit_code(self) -> int | None:
        """Raises StorageError where the file is damaged."""
        values = read_json(self._exit)
        return validated(WorkerExit, values, self._exit).code if values else None

    def write_exit_code(self, code: int) -> None:
        write_json(self._exit, dataclasses.asdict(WorkerExit(code)))

    def forget_last_attempt(self) -> None:
        """Remove what an earlier worker left to say, so that nothing of it is taken for the next one's."""
        for path in (self.stop, self._failure, self._worker, self._exit):
            remove(path)
        drop_ending(self.metrics)


def write_json(path: Path, values: dict[str, Any]) -> None:
    with replaced_file(path) as temporary:
        temporary.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a file that `write_json` wrote; None where there is none. Raises as `record_file.read_json`."""
    try:
        return record_file.read_json(path)
    except FileNotFoundError:
        return None
