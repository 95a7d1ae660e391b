"""The Hugging Face Hub as the studio offers it: styles and datasets found, looked at, taken in and published."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from heartmula_studio.services.lazy import Lazy
from heartmula_studio.services.library.imports import ImportService
from heartmula_studio.store.records import Checkpoint
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.store.views import HubRepo, ImportedDataset, Published, RepoKind

if TYPE_CHECKING:  # they bring torch
    from heartmula_studio.generate.runtime import Runtime
    from heartmula_studio.services.library.dataset_exchange import DatasetExchange
    from heartmula_studio.services.library.hub_exchange import HubExchange


class HubService:
    """Any thread may call any method. Methods raise StudioError and leave nothing half-done here."""

    def __init__(
        self,
        store: Store,
        runtime: "Lazy[Runtime]",
        datasets: "Callable[[], DatasetExchange]",
        imports: ImportService,
    ):
        self._store, self._runtime, self._datasets, self._imports = store, runtime, datasets, imports
        self._exchange = Lazy(self._make_exchange, of=runtime)

    def find(self, kind: RepoKind = "model", words: str = "") -> list[HubRepo]:
        """Styles ("model") or datasets on the Hub that bear this studio's tags. Raises HubError."""
        from heartmula_studio.services.library.hub import find_repos

        return find_repos(kind, words)

    def look_at(self, repo_id: str, kind: RepoKind = "model", revision: str = "") -> HubRepo:
        """A repository's card and files, before anything is fetched. Raises NotFoundError, HubError."""
        from heartmula_studio.services.library.hub import look_at

        return look_at(kind, repo_id, revision or None)

    def pull_style(
        self, repo_id: str, revision: str = "", name: str = "", styles: Sequence[str] = (), which: str = "",
        alpha: float | None = None,
    ) -> Checkpoint:  # fmt: skip
        """Take in a style, pinned to a commit. Raises as `CheckpointService.import_archive`, HubError."""
        from heartmula_studio.services.library.checkpoint_import import ImportRequest

        wanted = ImportRequest(name, tuple(styles), which or None, alpha)
        return self._exchange.get().pull_style(repo_id, revision or None, wanted)

    def push_style(
        self, id: str, repo_id: str, license: str = "other", private: bool = True, confirm_rights: bool = False,
        update: bool = False,
    ) -> Published:  # fmt: skip
        """Publish a style with a card, as a private repository unless told otherwise.

        Raises RightsUnknownError until `confirm_rights` says that it may be published where rights are unknown,
        ConflictError for a name that is taken unless `update`, InvalidInputError, NotFoundError, HubError.
        """
        return self._exchange.get().push_style(id, repo_id, license, private, confirm_rights, update)

    def pull_dataset(
        self, repo_id: str, revision: str = "", name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportedDataset:
        """Make a dataset of one on the Hub. Raises as `ImportService.pull`."""
        return self._imports.pull(repo_id, revision, name, styles, split)

    def start_pull(
        self, repo_id: str, revision: str = "", name: str = "", styles: Sequence[str] = (), split: str = ""
    ) -> ImportTask:
        """Do what `pull_dataset` does in the background, as an import. Raises as `ImportService.start_pull`."""
        return self._imports.start_pull(repo_id, revision, name, styles, split)

    def push_dataset(
        self, id: str, repo_id: str, license: str = "other", private: bool = True, confirm_rights: bool = False,
        update: bool = False,
    ) -> Published:  # fmt: skip
        """Publish a dataset's recordings with lyrics, tags and rights. Raises as `push_style`."""
        return self._exchange.get().push_dataset(id, repo_id, license, private, confirm_rights, update)

    def _make_exchange(self) -> "HubExchange":
        from heartmula_studio.services.library.hub_exchange import HubExchange

        return HubExchange(self._store, self._runtime.get().base, self._datasets())
