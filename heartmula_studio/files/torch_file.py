"""Writing what `torch.load(weights_only=True)` reads, with the system's own word where it refuses."""

from pathlib import Path
from typing import Any

import torch


def save_torch_file(values: dict[str, Any], path: Path) -> None:
    """Raises OSError on a full disk and the like."""
    try:
        with path.open("wb") as file:  # given a path, torch would not say why the system refuses to write
            torch.save(values, file)
    except RuntimeError as error:  # torch trips over its own unfinished file once the system has refused
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
