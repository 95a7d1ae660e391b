"""Prepare the training of nano's language model by the Studio's own trainer.

    python -m recipes.nano.prepare_model --work DIR --steps 1000
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m heartmula_studio.finetune DIR/model_job

Tokenizes every piece marked for the language model, in some keys and tempi, and writes DIR/base/ and DIR/model_job/,
which the trainer resumes when it is started again.
"""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from heartmula_studio.arch.checkpoints import find_base
from heartmula_studio.arch.tone_encoder import ToneEncoder
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.finetune.config import TrainConfig
from recipes.nano.base_folder import write_codec, write_trained_model, write_untrained_model
from recipes.nano.manifest import read_manifest
from recipes.nano.versions import Version, versions_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=2, help="windows that each process takes in a step")
    parser.add_argument("--window", type=float, default=60.0, help="seconds of the longest window")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--context-noise", type=float, default=0.0, help="share of wrong codes in what came before")
    parser.add_argument("--start", type=Path, help="a base to go on from, in its words; without, weights are random")
    arguments = parser.parse_args()
    base = arguments.work / "base"
    write_model(base, arguments)
    write_codec(arguments.work, base, torch.float16)
    codec = Codec.load(find_base(base))
    rows = [dataset_row(version, arguments.work, codec) for version in versions_to_learn(arguments.work)]
    write_job(arguments.work / "model_job", base, rows, arguments)


def write_model(base: Path, arguments: argparse.Namespace) -> None:
    """Write the language model of `--start` and its words, or one with random weights."""
    if arguments.start:
        found = find_base(arguments.start)
        write_trained_model(found.model, found.tokenizer.parent, base)
    else:
        write_untrained_model(arguments.work, base)


def versions_to_learn(work: Path) -> list[Version]:
    """All versions of every training piece for the language model."""
    records = [r for r in read_manifest(work / "manifest.jsonl") if r["lm"] and r["split"] == "train"]
    return [version for record in records for version in versions_of(record)]


@torch.no_grad()
def dataset_row(version: Version, work: Path, codec: Codec) -> dict:
    """One version as a row of the dataset."""
    encoder = codec.heartcodec.encoder
    assert isinstance(encoder, ToneEncoder)
    codes = codec.heartcodec.quantize(encoder.features(version.levels(work)[None]))[0].to(torch.int16)
    return {"song": version.song_name, "tags": version.tags, "lyrics": "", "codec": codec.codec_id, "codes": codes}


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
        max_window_sec=arguments.window,
        context_noise=arguments.context_noise,
        depth_frame_fraction=0.5,
        mixed_precision="bf16",
        state_every_steps=100,
    )
    config.save(job / "config.json")


if __name__ == "__main__":
    main()
