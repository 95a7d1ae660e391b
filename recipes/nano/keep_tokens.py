"""Take encoder and quantiser from an existing base instead of `train_tokenizer`, to train only what decodes them anew.

    python -m recipes.nano.keep_tokens --work DIR --base heartmula_studio/assets/nano

Its language model, and every dataset tokenised with it, stay valid.
"""

import argparse
import json
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base, load_encoder, load_heartcodec
from heartmula_studio.atomic import replaced_file
from recipes.nano.base_folder import TOKENIZER_SIZES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    arguments = parser.parse_args()
    base = find_base(arguments.base)
    quantiser = load_heartcodec(base.codec).flow_matching
    parts = {"encoder.": load_encoder(base.encoder, "cpu"), "quantiser.": quantiser.vq_embed}
    state = {f"{prefix}{name}": value for prefix, part in parts.items() for name, value in part.state_dict().items()}
    with replaced_file(arguments.work / "tokenizer.pt") as temporary:
        torch.save({"model": state}, temporary)
    encoder = json.loads((base.encoder / "config.json").read_text(encoding="utf-8"))
    sizes = {"codebook_dim": quantiser.config.codebook_dim, "encoder": encoder}
    (arguments.work / TOKENIZER_SIZES).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
