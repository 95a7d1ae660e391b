"""Prepare the training of nano's language model by the Studio's own trainer.

    python -m recipes.nano.prepare_model --work DIR --steps 1000
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m heartmula_studio.finetune DIR/model_job

Tokenizes every piece marked for the language model, in some keys and tempi, takes what `own_songs` has kept as well,
and writes DIR/base/ and DIR/model_job/, which the trainer resumes when it is started again.
"""

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from heartmula_studio.arch.checkpoints import find_base, load_heartmula, save_model
from heartmula_studio.arch.tone_codec import ToneCodec
from heartmula_studio.arch.tone_encoder import ToneEncoder
from heartmula_studio.codec.codec import Codec
from heartmula_studio.dataset.songs import song_dataset
from heartmula_studio.finetune.config import TrainConfig
from recipes.nano.base_folder import MODEL_FOLDER, write_codec, write_trained_model, write_untrained_model
from recipes.nano.carry_over import SharedFrames, carry_over
from recipes.nano.manifest import read_manifest
from recipes.nano.own_songs import OwnSong, own_songs
from recipes.nano.versions import Version, held_out_alike, versions_of

COUNTED_EVERY = 4  # of the versions: enough to see which codes of two codecs stand for the same
OWN_SONG_TIMES = 8  # that each is there, beside two or three versions of a piece


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
    versions = versions_to_learn(arguments.work)
    rows = [dataset_row(version, arguments.work, codec) for version in versions]
    start = Codec.load(find_base(arguments.start)) if arguments.start else codec
    rows.extend(own_rows(own_songs(arguments.work), codec, start))
    if start.codec_id != codec.codec_id:
        carry_model_over(base, versions[::COUNTED_EVERY], arguments.work, codec, start)
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


def dataset_row(version: Version, work: Path, codec: Codec) -> dict:
    """One version as a row of the dataset."""
    return row(version.song_name, version.tags, codes_of(version.levels(work), codec), codec)


def own_rows(songs: Iterable[OwnSong], codec: Codec, start: Codec) -> Iterator[dict]:
    """Yield rows of songs that a base made whose codec is `codec` or `start`; raises SystemExit for one of another."""
    for number, song in enumerate(songs):
        codes = song.codes.long()
        if song.codec_id not in (codec.codec_id, start.codec_id):
            raise SystemExit(f"Codes of {song.codec_id} in own_songs are not those of this codec, nor of --start's.")
        if song.codec_id != codec.codec_id:
            codes = codes_of(levels_told(codes, start), codec)
        for time in range(OWN_SONG_TIMES):
            yield row(held_out_alike(f"own_{number}_{time}", song.piece), song.tags, codes, codec)


def row(song: str, tags: list[str], codes: Tensor, codec: Codec) -> dict:
    return {"song": song, "tags": tags, "lyrics": "", "codec": codec.codec_id, "codes": codes.to(torch.int16)}


@torch.no_grad()
def codes_of(levels: Tensor, codec: Codec) -> Tensor:
    """Levels [num_levels, 4 T] → codes [K, T]"""
    encoder = codec.heartcodec.encoder
    assert isinstance(encoder, ToneEncoder)
    return codec.heartcodec.quantize(encoder.features(levels[None]))[0]


@torch.no_grad()
def levels_told(codes: Tensor, codec: Codec) -> Tensor:
    """Codes [K, T] → levels [num_levels, 4 T]"""
    assert isinstance(codec.heartcodec, ToneCodec)
    return codec.heartcodec.levels(codes[None])[0]


def carry_model_over(base: Path, versions: Iterable[Version], work: Path, codec: Codec, start: Codec) -> None:
    """Let the language model of a base with the codes of `start` speak those of `codec`, as some versions tell."""
    sizes = codec.heartcodec.config
    frames = SharedFrames(sizes.num_quantizers, sizes.codebook_size)
    for levels in (version.levels(work) for version in versions):
        frames.add(codes_of(levels, codec), codes_of(levels, start))
    model = load_heartmula(base / MODEL_FOLDER)
    carry_over(model, frames)
    save_model(model, model.config.to_dict(), base / MODEL_FOLDER)


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
