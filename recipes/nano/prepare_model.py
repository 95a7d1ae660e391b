"""Prepare the training of nano's language model, from scratch, by the Studio's own trainer.

    python -m recipes.nano.prepare_model --work DIR --steps 1000
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m heartmula_studio.finetune DIR/model_job

Tokenises every piece marked for the language model (kept in DIR/tokens/) and writes DIR/base/ (random weights) and
DIR/model_job/, which the trainer resumes when it is started again.
"""

import argparse
import os
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.finetune.config import TrainConfig
from recipes.nano.base_folder import write_codec, write_untrained_model
from recipes.nano.manifest import read_manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    base, job = arguments.work / "base", arguments.work / "model_job"
    write_untrained_model(arguments.work, base)
    write_codec(arguments.work, base, torch.float16)
    dataset = song_dataset(tokenised_pieces(arguments.work, Codec.load(find_base(base))))
    dataset.save_to_disk(job / "dataset")
    config = TrainConfig(
        base_model=os.path.relpath(base, job),
        method="full",
        epochs=1000,
        max_steps=arguments.steps,
        learning_rate=1.5e-3,
        warmup_ratio=0.03,
        weight_decay=0.05,
        batch_size=arguments.batch,
        max_window_sec=24.0,
        depth_share=0.5,
        mixed_precision="bf16",
        state_every_steps=100,
    )
    config.save(job / "config.json")


def tokenised_pieces(work: Path, codec: Codec) -> list[dict]:
    """Dataset rows of every training piece for the language model, tokenising what is not yet tokenised."""
    rows = []
    folder = work / "tokens" / codec.codec_id
    for record in read_manifest(work / "manifest.jsonl"):
        if not record["lm"] or record["split"] != "train":
            continue
        path = folder / f"{record['id']}.pt"
        if not path.is_file():
            codec.encode_file(work / record["file"]).save(path)
        row = {"song": record["id"], "tags": record["tags"], "lyrics": "", "codec": codec.codec_id}
        rows.append({**row, "codes": Tokens.load(path).codes})
    return rows


if __name__ == "__main__":
    main()
