"""Put the trained parts together as the bundled base.

python -m recipes.nano.package --work DIR --out heartmula_studio/assets/nano
"""

import argparse
import shutil
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import load_heartmula, save_model
from recipes.nano.base_folder import MODEL_FOLDER, write_codec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_codec(arguments.work, arguments.out, torch.float16)
    model = load_heartmula(arguments.work / "model_job" / "checkpoints" / "best")
    save_model(model, model.config.to_dict(), arguments.out / MODEL_FOLDER, torch.float16)
    for name in ("tokenizer.json", "gen_config.json"):
        shutil.copyfile(arguments.work / "base" / name, arguments.out / name)


if __name__ == "__main__":
    main()
