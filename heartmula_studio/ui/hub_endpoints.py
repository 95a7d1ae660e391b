"""The Hugging Face Hub for `gradio_client`."""

from heartmula_studio.store.views import RepoKind
from heartmula_studio.studio import Studio
from heartmula_studio.ui.endpoint_calls import call


class HubEndpoints:
    """One method an endpoint; its signature and docstring are what a client sees."""

    def __init__(self, studio: Studio):
        self._hub = studio.hub

    async def search_hub(self, words: str = "", kind: RepoKind = "model") -> list[dict]:
        """Styles ("model") or datasets on the Hub that bear this studio's tags."""
        return await call(self._hub.find, kind, words)

    async def look_at_repo(self, repo_id: str, kind: RepoKind = "model", revision: str = "") -> dict:
        """A repository's card and files on the Hub, before anything is fetched."""
        return await call(self._hub.look_at, repo_id, kind, revision)

    async def pull_style(
        self,
        repo_id: str,
        revision: str = "",
        name: str = "",
        styles: list[str] | None = None,
        which: str = "",
        alpha: float | None = None,
    ) -> dict:
        """Take in a style from the Hub, pinned to the commit that its `origin` names."""
        return await call(self._hub.pull_style, repo_id, revision, name, styles or [], which, alpha)

    async def push_style(
        self,
        checkpoint_id: str,
        repo_id: str,
        license: str = "other",
        private: bool = True,
        confirm_rights: bool = False,
        update: bool = False,
    ) -> dict:
        """Publish a style on the Hub with a card; where rights are unknown, they have to be confirmed."""
        return await call(self._hub.push_style, checkpoint_id, repo_id, license, private, confirm_rights, update)

    async def pull_dataset(
        self, repo_id: str, revision: str = "", name: str = "", styles: list[str] | None = None, split: str = ""
    ) -> dict:
        """Make a dataset of one on the Hub; `skipped` says what could not be used."""
        return await call(self._hub.pull_dataset, repo_id, revision, name, styles or [], split)

    async def start_pull(
        self, repo_id: str, revision: str = "", name: str = "", styles: list[str] | None = None, split: str = ""
    ) -> dict:
        """Do what `pull_dataset` does in the background; `get_import` says how far it is, by the id of this."""
        return await call(self._hub.start_pull, repo_id, revision, name, styles or [], split)

    async def push_dataset(
        self,
        dataset_id: str,
        repo_id: str,
        license: str = "other",
        private: bool = True,
        confirm_rights: bool = False,
        update: bool = False,
    ) -> dict:
        """Publish a dataset's recordings on the Hub, with lyrics, tags and rights."""
        return await call(self._hub.push_dataset, dataset_id, repo_id, license, private, confirm_rights, update)
