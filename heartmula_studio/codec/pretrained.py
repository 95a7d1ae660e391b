"""Models in folders as `transformers` saves them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heartmula_studio.errors import CheckpointCorruptError


@contextmanager
def loading_explained(folder: Path, kind: str) -> Iterator[None]:
    """Raise CheckpointCorruptError where `transformers` cannot load a folder as this kind of model."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointCorruptError(
            f"{folder} cannot be loaded as {kind}: {error}", "Copy or download it again."
        ) from error
