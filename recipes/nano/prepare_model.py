"""Prepare the training of nano's language model by the Studio's own trainer.

    python -m recipes.nano.prepare_model --work DIR --steps 1000
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m heartmula_studio.finetune DIR/model_job

Tokenizes every piece marked for the language model, at five speeds (kept in DIR/tokens/), and writes DIR/base/ and
DIR/model_job/, which the trainer resumes when it is started again.
"""

import argparse
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.heartmula import HeartMuLaConfig
from heartmula_studio.arch.residual_quantiser import ResidualQuantiser
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.finetune.config import TrainConfig
from recipes.nano.base_folder import load_tokenizer, write_codec, write_trained_model, write_untrained_model
from recipes.nano.manifest import read_manifest
from recipes.nano.sizes import GEN_CONFIG, MODEL
from recipes.nano.versions import SPEEDS, Version, tokens_of


def main() -> None:
    parser = model_arguments(__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="pieces tokenized at the same time")
    arguments = parser.parse_args()
    base, job = arguments.work / "base", arguments.work / "model_job"
    write_model(base, arguments, MODEL, GEN_CONFIG, load_tokenizer(arguments.work)[1].vq_embed)
    write_codec(arguments.work, base, torch.float16)
    codec, versions = Codec.load(find_base(base)), versions_to_learn(arguments.work)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(partial(dataset_row, work=arguments.work, codec=codec), versions))
    write_job(job, base, rows, arguments)


def model_arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=4, help="windows of 24 s that each process takes in a step")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--start", type=Path, help="a base to go on from, in its words; without, weights are random")
    return parser


def write_model(
    base: Path,
    arguments: argparse.Namespace,
    config: HeartMuLaConfig,
    gen_config: Mapping[str, Any],
    quantiser: ResidualQuantiser,
) -> None:
    """Write the language model of `--start` and its words, or one with random weights."""
    if arguments.start:
        found = find_base(arguments.start)
        write_trained_model(found.model, found.tokenizer.parent, base)
    else:
        write_untrained_model(arguments.work, base, config, gen_config, quantiser)


def write_job(job: Path, base: Path, rows: Iterable[dict], arguments: argparse.Namespace) -> None:
    """Write the dataset and the settings of the language model's training."""
    song_dataset(rows).save_to_disk(job / "dataset")
    config = TrainConfig(
        base_model=os.path.relpath(base, job),
        method="full",
        epochs=1000,
        max_steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        warmup_ratio=0.03,
        weight_decay=0.05,
        batch_size=arguments.batch,
        max_window_sec=24.0,
        depth_frame_fraction=0.5,
        mixed_precision="bf16",
        state_every_steps=100,
    )
    config.save(job / "config.json")


def versions_to_learn(work: Path) -> list[Version]:
    """Every training piece for the language model, as it was written first, then at each other speed."""
    records = [r for r in read_manifest(work / "manifest.jsonl") if r["lm"] and r["split"] == "train"]
    return [Version(record, speed) for speed in SPEEDS for record in records]


def dataset_row(version: Version, work: Path, codec: Codec) -> dict:
    """One version as a row of the dataset, tokenized if it is not yet."""
    codes = tokens_of(version, work, codec).codes
    return {"song": version.song_name, "tags": version.tags, "lyrics": "", "codec": codec.codec_id, "codes": codes}


if __name__ == "__main__":
    main()
