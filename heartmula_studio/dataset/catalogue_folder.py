"""Which folders are catalogues. Apart from what reads them, which takes seconds to load."""

from pathlib import Path

from heartmula_studio.errors import NotFoundError

INDEX_NAME = "index.parquet"


def is_catalogue(folder: Path) -> bool:
    """Whether a folder holds all shards of a catalogue."""
    return (folder / INDEX_NAME).is_file()


def require_catalogue(folder: Path) -> None:
    """Raise NotFoundError where a folder is no catalogue, or none that is whole."""
    if not is_catalogue(folder):
        raise NotFoundError(
            f"There is no catalogue in {folder} that is whole.",
            "Put it back, or have `heartmula-studio catalogue` write what is missing, and resume the job.",
        )
