"""Put the trained parts together as the bundled base.

python -m recipes.nano.package --work DIR --out heartmula_studio/assets/nano
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from recipes.nano import base_folder


def main() -> None:
    package(base_folder.write_codec, __doc__)


def package(write_codec: Callable[[Path, Path, torch.dtype], None], description: str | None) -> None:
    """Write a base with the codec that `write_codec` makes of a work folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_codec(arguments.work, arguments.out, torch.float16)
    checkpoint = arguments.work / "model_job" / "checkpoints" / "best"
    base_folder.write_trained_model(checkpoint, arguments.work / "base", arguments.out, torch.float16)


if __name__ == "__main__":
    main()
