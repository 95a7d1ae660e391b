"""Songs that were asked for, and what came of it."""

from pathlib import Path

from heartmula_studio.store.collection import Collection, remove_if_old
from heartmula_studio.store.records import Generation


class Generations(Collection[Generation]):
    """generations/{id}/manifest.json and the song beside it."""

    kind = "generations"
    noun = "song"
    record_type = Generation

    def song_path(self, id: str) -> Path:
        """Where the song lies, or will lie. Raises NotFoundError and StorageError as `get`."""
        return self.folder(id) / f"song.{self.get(id).format}"

    def recover(self) -> None:
        super().recover()
        for path in self.root.glob("[!.]*/.tmp-*"):
            remove_if_old(path)
