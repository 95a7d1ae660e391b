"""Put the trained parts together as the bundled base.

python -m recipes.nano.package --work DIR --out heartmula_studio/assets/nano
"""

import argparse
from pathlib import Path

import torch

from recipes.nano.base_folder import write_codec, write_trained_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_codec(arguments.work, arguments.out, torch.float16)
    checkpoint = arguments.work / "model_job" / "checkpoints" / "best"
    write_trained_model(checkpoint, arguments.work / "base", arguments.out, torch.float16)


if __name__ == "__main__":
    main()
