"""The commands: each reads its arguments, calls the pipeline, and prints what came of it."""

import dataclasses
import secrets
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from heartmula_studio.arch.checkpoints import BUNDLED_BASE, find_base
from heartmula_studio.cli.demo import run_demo
from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.cli.songs import build_dataset, find_songs
from heartmula_studio.codec import roundtrip as round_trip
from heartmula_studio.codec.audio_file import AudioWriter
from heartmula_studio.codec.codec import Codec
from heartmula_studio.codec.tokens import Tokens
from heartmula_studio.dataset.lyrics import read_lyrics
from heartmula_studio.errors import CancelledError, CheckpointMismatchError
from heartmula_studio.finetune.config import LoraSettings, TrainConfig
from heartmula_studio.finetune.job import train as run_training
from heartmula_studio.generate.engine import Engine, pick_device
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.settings import Settings

MEMORY_FOR_3B_BYTES = 12 * 10**9
TRAIN_OPTIONS = (
    "method",
    "epochs",
    "max_steps",
    "learning_rate",
    "batch_size",
    "max_window_sec",
    "mixed_precision",
    "seed",
)


def chosen_base(arguments: Namespace) -> str:
    """The base asked for; else the official one where its folder is set and a GPU can hold it; else nano."""
    settings = Settings.load()
    asked = arguments.base or settings.base_model
    if asked != "auto":
        return asked
    has_room = torch.cuda.is_available() and torch.cuda.get_device_properties(0).total_memory >= MEMORY_FOR_3B_BYTES
    return str(settings.checkpoints_dir) if settings.checkpoints_dir and has_room else BUNDLED_BASE


def chosen_device(arguments: Namespace) -> str:
    return str(pick_device(arguments.device or Settings.load().device))


def load_codec(arguments: Namespace) -> Codec:
    return Codec.load(find_base(chosen_base(arguments)), chosen_device(arguments))


def tokenize(arguments: Namespace) -> None:
    codec = load_codec(arguments)
    for song in arguments.songs:
        out = (arguments.out or song.parent) / f"{song.stem}.pt"
        with progress_bar(f"Listening to {song.name}", "window") as report:
            tokens = codec.encode_file(song, report)
        tokens.save(out)
        print(f"{out}: {tokens.codes.shape[1]} frames of {tokens.codes.shape[0]} tokens")


def detokenize(arguments: Namespace) -> None:
    codec, tokens = load_codec(arguments), Tokens.load(arguments.tokens)
    if tokens.codec_id != codec.codec_id:
        raise CheckpointMismatchError(
            f"{arguments.tokens} was made with the codec {tokens.codec_id}, but this base has {codec.codec_id}.",
            "Give the base it was made with (--base), or tokenise the song again.",
        )
    with (
        AudioWriter(arguments.out, codec.sample_rate_hz) as writer,
        progress_bar("Turning tokens into sound", "window") as report,
    ):
        for stretch in codec.decode(tokens.codes, arguments.seed, report):
            writer.write(stretch)
    print(arguments.out)


def roundtrip(arguments: Namespace) -> None:
    out = arguments.out or arguments.song.with_suffix(".heard.wav")
    codec = load_codec(arguments)
    with progress_bar(f"Listening to {arguments.song.name}", "window") as report:
        result = round_trip.roundtrip(arguments.song, codec, out, report)
    print(f"{result.out_path}: log-mel distance to the original {result.distance:.3f} (0 is perfect)")


def train(arguments: Namespace) -> int:
    base_name, job = chosen_base(arguments), arguments.out
    if not (job / "dataset").is_dir():
        base = find_base(base_name)
        songs = find_songs(arguments.songs)
        dataset = build_dataset(songs, arguments.tags, base, chosen_device(arguments), job / "processed")
        dataset.save_to_disk(job / "dataset")
    train_config(arguments, base_name).save(job / "config.json")
    with progress_bar("Learning", "step") as report:
        result = run_training(job, lambda line: report(line["step"], line["total_steps"]))
    for name, loss in (("before", result.initial_loss), ("after", result.best_loss)):
        if loss is not None:
            print(f"Held-out loss {name}: {loss:.4f}")
    print(f"{result.status.capitalize()} after step {result.step} of {result.total_steps}: {result.checkpoint}")
    return 0 if result.status == "completed" else CancelledError.exit_code


def train_config(arguments: Namespace, base: str) -> TrainConfig:
    """The settings given on the command line, defaults elsewhere."""
    given: dict[str, Any] = {name: getattr(arguments, name) for name in TRAIN_OPTIONS}
    config = TrainConfig(
        base_model=base if base == BUNDLED_BASE else str(Path(base).resolve()),
        gradient_checkpointing=bool(arguments.save_memory),
        **{name: value for name, value in given.items() if value is not None},
    )
    if arguments.rank is None:
        return config
    return dataclasses.replace(config, lora=LoraSettings(rank=arguments.rank, alpha=2.0 * arguments.rank))


def generate(arguments: Namespace) -> None:
    request = SongRequest(
        tags=arguments.tags,
        lyrics=read_lyrics(arguments.lyrics_file) if arguments.lyrics_file else arguments.lyrics,
        max_sec=arguments.seconds,
        seed=secrets.randbelow(2**31) if arguments.seed is None else arguments.seed,
        temperature=arguments.temperature,
        topk=arguments.top_k,
        cfg_scale=arguments.guidance,
    )
    engine = Engine.load(chosen_base(arguments), chosen_device(arguments))
    if arguments.style:
        engine.activate(arguments.style, arguments.strength)
    with progress_bar("Making the song", "frame") as report:
        song = engine.make_song(request, arguments.out, report)
    print(f"{song.path}: {song.receipt.duration_sec:.1f} s, seed {request.seed}")


def demo(arguments: Namespace) -> None:
    run_demo(
        out=arguments.out,
        songs_folder=arguments.songs,
        tags=arguments.tags,
        steps=arguments.steps,
        seconds=arguments.seconds,
        seed=arguments.seed,
        base_name=chosen_base(arguments),
        device=chosen_device(arguments),
    )
