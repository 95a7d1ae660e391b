"""Tags to ask for songs with: those that come along, a person's own, and trained styles."""

from heartmula_studio.services.derived import Derived
from heartmula_studio.store.records import Checkpoint
from heartmula_studio.store.store import Store
from heartmula_studio.store.views import StyleList, TrainedStyle


class TagService:
    """Any thread may call any method."""

    def __init__(self, store: Store):
        self._store = store
        self._list = Derived(self._of)

    def add(self, name: str) -> StyleList:
        """Keep a tag of one's own. Raises as `Styles.add`."""
        self._store.styles.add(name)
        return self.list()

    def remove(self, name: str) -> StyleList:
        """Forget a tag of one's own. Raises as `Styles.remove`."""
        self._store.styles.remove(name)
        return self.list()

    def list(self) -> StyleList:
        """All that a song can be asked for; the same object for as long as nothing changes."""
        return self._list.of(self._store.checkpoints.records(), self._store.styles.custom())

    def _of(self, checkpoints: tuple[Checkpoint, ...], custom: tuple[str, ...]) -> StyleList:
        trained = tuple(
            TrainedStyle(style, checkpoint.id)
            for checkpoint in checkpoints
            for style in checkpoint.styles or (checkpoint.name,)
        )
        return StyleList(self._store.styles.builtin, custom, trained)
