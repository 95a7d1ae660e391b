"""Tags to ask for songs with: those that come along, a person's own, and trained styles."""

from heartmula_studio.store.store import Store
from heartmula_studio.store.views import StyleList, TrainedStyle


class TagService:
    """Any thread may call any method."""

    def __init__(self, store: Store):
        self._store = store

    def add(self, name: str) -> StyleList:
        """Keep a tag of one's own. Raises as `Styles.add`."""
        self._store.styles.add(name)
        return self.list()

    def remove(self, name: str) -> StyleList:
        """Forget a tag of one's own. Raises as `Styles.remove`."""
        self._store.styles.remove(name)
        return self.list()

    def list(self) -> StyleList:
        trained = tuple(
            TrainedStyle(style, checkpoint.id)
            for checkpoint in self._store.checkpoints.list()
            for style in checkpoint.styles or (checkpoint.name,)
        )
        return StyleList(self._store.styles.builtin, tuple(self._store.styles.list()), trained)
