"""The data folder: datasets, jobs, checkpoints, songs and styles, safe with several processes and servers on it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from heartmula_studio.files.atomic import TEMPORARY_PREFIX
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.files.locks import LET_GO_SEC, WAIT_SEC, Locks
from heartmula_studio.files.public_text import hide_data_folder
from heartmula_studio.store.checkpoints import Checkpoints
from heartmula_studio.store.collection import remove_if_old
from heartmula_studio.store.datasets import Datasets
from heartmula_studio.store.generations import Generations
from heartmula_studio.store.incoming import IMPORT_LIMIT, Incoming, receiving
from heartmula_studio.store.jobs import Jobs
from heartmula_studio.store.styles import Styles

MAX_UPLOAD_BYTES = 2**30
MAX_FILES = 50_000
SCRATCH = "scratch"
LONGEST_NAME = "n" * 150  # as names.safe_filename cuts them; the folders in front of it are as long as those of songs


class Store:
    """Everything that is kept, under one folder."""

    def __init__(self, root: Path, max_upload_bytes: int = MAX_UPLOAD_BYTES, max_files: int = MAX_FILES):
        """`max_upload_bytes` is for one file, `max_files` for one dataset. Raises StorageError for a folder that
        cannot be written."""
        self.root = Path(root).absolute()
        self._max_upload_bytes, self._max_files = max_upload_bytes, max_files
        hide_data_folder(self.root)
        self._locks = Locks(self.root / ".locks")
        with disk_explained(self.root):
            (self.root / ".locks").mkdir(parents=True, exist_ok=True)
        self.datasets = Datasets(self.root / "datasets", self._locks, max_upload_bytes, max_files)
        self.jobs = Jobs(self.root / "jobs", self._locks)
        self.checkpoints = Checkpoints(self.root / "checkpoints", self._locks)
        self.generations = Generations(self.root / "generations", self._locks)
        self.styles = Styles(self.root / "styles.json", self._locks)
        with self.scratch() as folder, disk_explained(folder):
            # Tells now, not at the first upload, whether the folder can be written, and its path leaves room for names.
            (folder / LONGEST_NAME).touch()

    def lock(self, name: str, wait_sec: float = WAIT_SEC) -> AbstractContextManager[None]:
        """Hold a lock of this name against all threads and processes; within a thread it can be taken again.

        Raises ConflictError when others do not let go of it for `wait_sec` seconds.
        """
        return self._locks.hold(name, wait_sec)

    def attempt(self, name: str) -> AbstractContextManager[bool]:
        """Hold a lock of this name if it is free, and tell whether it was."""
        return self._locks.attempt(name)

    def attempt_next(self, name: str) -> AbstractContextManager[bool]:
        """As `attempt`, for what may begin as soon as the one before it has said that it ended."""
        return self._locks.attempt(name, LET_GO_SEC)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder, on the same disk as all else, that vanishes at the end."""
        with self._locks.lease(SCRATCH) as name:
            folder = self.root / f"{TEMPORARY_PREFIX}{name}"
            with disk_explained(folder):
                folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def receive(self, filename: str, max_bytes: int) -> Iterator[Incoming]:
        """Take in a file that is not a song; it vanishes at the end. Raises StorageError."""
        self.remove_abandoned()
        with self.scratch() as folder, receiving(folder, filename, max_bytes, self._locks, IMPORT_LIMIT) as incoming:
            yield incoming

    @contextmanager
    def new_dataset(self, name: str, styles: Sequence[str] = ()) -> Iterator[tuple[Datasets, str]]:
        """Yield the id of a new dataset and the collection it can be filled in; all of it is listed at the end.

        Nothing of it is left where the block fails or the process is killed. Raises as `Datasets.create_dataset`.
        """
        with self.scratch() as folder:
            unlisted = Datasets(folder, self._locks, self._max_upload_bytes, self._max_files)
            id = unlisted.create_dataset(name, styles).id
            yield unlisted, id
            self.datasets.adopt(unlisted.folder(id))

    def remove_abandoned(self) -> None:
        """Remove the scratch folders of killed processes: those that nobody holds."""
        for path in self.root.glob(f"{TEMPORARY_PREFIX}{SCRATCH}-*"):
            with self._locks.attempt(path.name.removeprefix(TEMPORARY_PREFIX)) as is_free:
                if is_free:
                    shutil.rmtree(path, ignore_errors=True)

    def recover(self) -> None:
        """Remove what killed processes left behind; what living ones are writing stays. Raises StorageError."""
        for collection in (self.datasets, self.jobs, self.checkpoints, self.generations):
            collection.recover()
        self.remove_abandoned()
        for path in self.root.glob(f"{TEMPORARY_PREFIX}*"):
            if not path.name.startswith(f"{TEMPORARY_PREFIX}{SCRATCH}-"):
                remove_if_old(path)
        self._locks.recover()
