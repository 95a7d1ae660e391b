"""A repository of the Hub on its way into this machine's cache: how far it is, and stopping it.

`huggingface_hub` downloads, in a thread of its own: with Xet, a file that is coming cannot be stopped, only left alone.
"""

import threading
from collections.abc import Generator
from concurrent.futures import Future, wait
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.hf_api import DatasetInfo, ModelInfo
from tqdm.auto import tqdm

from heartmula_studio.errors import CancelledError
from heartmula_studio.services.library.hub import checked_revision, hub_errors, require_repo_id
from heartmula_studio.services.library.import_steps import DownloadStep
from heartmula_studio.services.tasks import STOPPED
from heartmula_studio.store.views import RepoKind

POLL_SEC = 0.2


def download(kind: RepoKind, repo_id: str, revision: str | None) -> Generator[DownloadStep, None, Path]:
    """Yield how much of a repository has come, at first before anything does; return its folder in the Hub's cache.

    What was fetched before is not fetched again. Where nobody reads on, no further file is begun, and whole ones stay.
    Raises HubError, NotFoundError, InvalidInputError.
    """
    require_repo_id(repo_id)
    with hub_errors(repo_id):
        info = HfApi().repo_info(repo_id, repo_type=kind, revision=checked_revision(revision), files_metadata=True)
        assert isinstance(info, ModelInfo | DatasetInfo), type(info)
        assert info.sha is not None
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        here, total = _cached_bytes(kind, repo_id, info.sha, sizes), sum(sizes.values())
        yield DownloadStep(here, total)
        coming = _Coming(kind, repo_id, info.sha)
        try:
            while not wait([coming.folder], POLL_SEC).done:
                yield DownloadStep(min(here + coming.num_bytes(), total), total)
        finally:
            coming.stopped.set()
        folder = coming.folder.result()
        yield DownloadStep(total, total)
        return folder


def _cached_bytes(kind: RepoKind, repo_id: str, sha: str, sizes: dict[str, int]) -> int:
    def is_here(name: str) -> bool:
        return isinstance(try_to_load_from_cache(repo_id, name, revision=sha, repo_type=kind), str)

    return sum(size for name, size in sizes.items() if is_here(name))


class _Coming:
    """A download that has begun; once `stopped` is set, it ends in an error at the next piece of it that comes."""

    def __init__(self, kind: RepoKind, repo_id: str, sha: str):
        self.folder: Future[Path] = Future()
        self.stopped = threading.Event()
        self._counted: list[int] = []
        threading.Thread(target=self._fetch, args=(kind, repo_id, sha), daemon=True).start()

    def num_bytes(self) -> int:
        """Return how many bytes have come. The client counts what is sent and what is written, which may be more."""
        return max(self._counted, default=0)

    def _fetch(self, kind: RepoKind, repo_id: str, sha: str) -> None:
        try:
            folder = snapshot_download(repo_id, repo_type=kind, revision=sha, tqdm_class=self._bar())
            self.folder.set_result(Path(folder))
        except BaseException as error:
            self.folder.set_exception(error)

    def _bar(self) -> type[tqdm]:  # type: ignore[type-arg]
        stopped, counted, lock = self.stopped, self._counted, threading.Lock()

        class Bar(tqdm):  # type: ignore[type-arg]
            """Is not shown, and counts what it is told where that is bytes."""

            def __init__(self, *_: object, unit: str = "", **__: object):
                super().__init__(disable=True)
                self._place = len(counted) if unit == "B" else None
                if self._place is not None:
                    counted.append(0)

            def update(self, n: float | None = 1) -> bool | None:
                if stopped.is_set():
                    raise CancelledError(*STOPPED)
                if self._place is not None:
                    with lock:
                        counted[self._place] += int(n or 0)
                return None

        return Bar
