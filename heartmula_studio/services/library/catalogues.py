"""The catalogues that trainings may learn from: folders that `heartmula-studio catalogue` has written."""

from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.dataset.catalogue_folder import is_catalogue
from heartmula_studio.errors import NotFoundError


@dataclass(frozen=True)
class CatalogueFolder:
    """A catalogue by its name, and where it lies."""

    name: str
    path: Path


class Catalogues:
    """Those right below one folder of the server's, by their names; nothing else can be named."""

    def __init__(self, folder: Path | None):
        """folder: None where the server has none."""
        self._folder = folder

    def names(self) -> list[str]:
        """The catalogues that are whole."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.name.isprintable() and is_catalogue(path))

    def find(self, name: str) -> CatalogueFolder:
        """Raises NotFoundError for a name that is none of `names`."""
        names = self.names()
        if self._folder is None or name not in names:
            whole = f"Those that are whole: {', '.join(names)}." if names else "None is whole here yet."
            where = "Its catalogues_dir (HEARTMULA_CATALOGUES_DIR) names the folder that catalogues lie in."
            raise NotFoundError(f"This server has no catalogue {name!r}.", where if self._folder is None else whole)
        return CatalogueFolder(name, (self._folder / name).resolve())
