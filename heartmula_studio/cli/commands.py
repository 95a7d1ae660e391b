"""The commands: each reads its arguments, calls the pipeline, prints what came of it and returns an exit code."""

import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from heartmula_studio.arch.checkpoints import root_of
from heartmula_studio.cli.auditions import auditions
from heartmula_studio.cli.catalogue import catalogue
from heartmula_studio.cli.check import check
from heartmula_studio.cli.checkpoints import checkpoints
from heartmula_studio.cli.datasets import dataset
from heartmula_studio.cli.demo import demo
from heartmula_studio.cli.hub import hub
from heartmula_studio.cli.models import models
from heartmula_studio.cli.presets import with_preset
from heartmula_studio.cli.progress import make_takes, make_until_end, play_to_stdout, progress_bar, training_progress
from heartmula_studio.cli.replay import detokenize, read_kept, replay
from heartmula_studio.cli.rungs import rungs
from heartmula_studio.cli.song_library import manage_songs
from heartmula_studio.cli.songs import find_songs, other_files, write_dataset
from heartmula_studio.codec import roundtrip as round_trip
from heartmula_studio.dataset.catalogue_folder import is_catalogue
from heartmula_studio.dataset.tokenizing import ENDS
from heartmula_studio.errors import CancelledError, CheckpointMissingError, InvalidInputError
from heartmula_studio.files.atomic import replaced_folder
from heartmula_studio.finetune.config import TrainConfig
from heartmula_studio.finetune.flat_settings import FREE, with_settings
from heartmula_studio.finetune.job import train as run_training
from heartmula_studio.finetune.parent import follow_parent
from heartmula_studio.finetune.prior_songs import save_prior_songs
from heartmula_studio.finetune.run_folder import RunFolder
from heartmula_studio.generate.engine import Engine
from heartmula_studio.generate.previews import SongListener
from heartmula_studio.generate.prior_songs import make_prior_songs
from heartmula_studio.generate.request import SONG, SongRequest, takes_of
from heartmula_studio.generate.runtime import Runtime
from heartmula_studio.generate.strength import Strength
from heartmula_studio.lyrics.decoding import read_lyrics
from heartmula_studio.lyrics.parsing import removed_lines
from heartmula_studio.settings import Settings

Value = TypeVar("Value")


def tokenize(arguments: Namespace) -> int:
    outputs = [(arguments.out or song.parent) / f"{song.stem}.pt" for song in arguments.songs]
    if repeated := sorted({str(path) for path in outputs if outputs.count(path) > 1}):
        raise InvalidInputError(f"Several songs would be written to {repeated[0]}.", "Leave out --out, or rename one.")
    runtime = Runtime.of(Settings.load(), arguments.base, arguments.device)
    codec = runtime.load_codec()
    for song, out in zip(arguments.songs, outputs, strict=True):
        with progress_bar(f"Listening to {song.name}", "window") as report:
            tokens = codec.encode_file(song, report, limits=runtime.limits)
        tokens.save(out)
        print(f"{out}: {tokens.codes.shape[1]} frames of {tokens.codes.shape[0]} tokens")
    return 0


def roundtrip(arguments: Namespace) -> int:
    out = arguments.out or arguments.song.with_suffix(".heard.wav")
    codec = Runtime.of(Settings.load(), arguments.base, arguments.device).load_codec()
    with progress_bar(f"Listening to {arguments.song.name}", "window") as report:
        result = round_trip.roundtrip(arguments.song, codec, out, report)
    print(f"{result.out_path}: log-mel distance to the original {result.distance:.3f} (0 is perfect)")
    return 0


def train(arguments: Namespace) -> int:
    runtime, job = Runtime.of(Settings.load(), arguments.base, arguments.device), arguments.out
    prepare = with_catalogue if is_catalogue(arguments.songs) else with_songs
    config = prepare(arguments, runtime)
    config.save(RunFolder(job).config)
    keep_parent(RunFolder(job), config)
    with training_progress() as on_step:
        result = run_training(job, on_step, runtime.device.type, SongListener())
    for note in result.notes:
        print(note)
    for name, loss in (("before", result.initial_loss), ("after", result.best_loss)):
        if loss is not None:
            print(f"Held-out loss {name}: {loss:.4f}")
    print(f"{result.status.capitalize()} after step {result.step} of {result.total_steps}: {result.checkpoint}")
    return 0 if result.status == "completed" else CancelledError.exit_code


def with_catalogue(arguments: Namespace, runtime: Runtime) -> TrainConfig:
    """Return the settings of a run that reads a catalogue where it lies. Raises InvalidInputError."""
    given = [name for name in ("tags", "preset") if getattr(arguments, name)]
    if given:
        raise InvalidInputError(
            f"--{given[0]} is for a folder of songs; {arguments.songs} holds the codes of a catalogue.",
            "Leave it out: a catalogue has tags of its own, and --epochs says how often it is learnt from.",
        )
    config = train_config(arguments, runtime, RunFolder(arguments.out))
    arguments.out.mkdir(parents=True, exist_ok=True)
    return replace(config, dataset=str(arguments.songs.resolve()))


def with_songs(arguments: Namespace, runtime: Runtime) -> TrainConfig:
    """Tokenize the songs of a folder for a run, and return its settings."""
    songs, job = find_songs(arguments.songs), arguments.out
    config = train_config(arguments, runtime, RunFolder(job))
    if ignored := other_files(arguments.songs):
        print(f"Left out, as they are neither songs nor lyrics: {', '.join(ignored)}")
    for song in songs:
        if removed := removed_lines(song.lyrics):
            print(f"{song.name}: not taken for lyrics: {' / '.join(removed)}")
    codec = runtime.load_codec()
    tokens, dataset, ends = job / "processed", job / config.dataset, ENDS[arguments.ending]
    sources = write_dataset(songs, arguments.tags, codec, runtime.limits, tokens, dataset, config.num_versions, ends)
    if arguments.preset:
        config = with_preset(config, arguments, sources, runtime)
    return config


def train_config(arguments: Namespace, runtime: Runtime, folder: RunFolder) -> TrainConfig:
    """The settings of an earlier run in this folder, else the defaults, with what the command line changes."""
    is_new = not folder.config.is_file()
    config = runtime.train_config(arguments.method or "lora") if is_new else TrainConfig.load(folder.config)
    given = {name: getattr(arguments, name) for name in FREE}
    if start_from := given["start_from"] or config.start_from:
        start_from = str(Path(start_from).resolve())
        parent = folder.parent if folder.parent.is_dir() else Path(start_from)
        given = follow_parent(parent, runtime.base.model, arguments.method or config.method, given)
        given["start_from"] = start_from
    return with_settings(config, given, arguments.method)


def keep_parent(folder: RunFolder, config: TrainConfig) -> None:
    """Copy the style that a run starts from, which may be gone when the run is resumed."""
    if config.start_from and not folder.parent.is_dir():
        with replaced_folder(folder.parent) as temporary:
            shutil.copytree(config.start_from, temporary, dirs_exist_ok=True)


def generate(arguments: Namespace) -> int:
    given = {name: getattr(arguments, name) for name in SONG}
    if arguments.lyrics_file:
        given["lyrics"] = read_lyrics(arguments.lyrics_file)
    kept, whole_sec = read_kept(arguments.source, arguments.from_sec, arguments.to_sec)
    request = SongRequest.of(given | ({"duration_sec": whole_sec} if whole_sec else {}))
    styles = mixed_styles(arguments)
    runtime = Runtime.of(Settings.load(), arguments.base, arguments.device)
    engine = Engine.load(runtime.base_name, str(runtime.device))
    if styles:
        engine.activate_mix(styles)
    listener = play_to_stdout(engine.codec.sample_rate_hz) if arguments.stream else None
    requests, said = takes_of(request, arguments.takes), sys.stderr if arguments.stream else sys.stdout
    make = make_until_end if arguments.until_end else make_takes
    for song in make(engine, requests, arguments.out, listener=listener, kept=kept):
        print(f"{song.path}: {song.receipt.duration_sec:.1f} s, seed {song.receipt.request.seed}", file=said)
        if song.note:
            print(song.note, file=said)
    return 0


def mixed_styles(arguments: Namespace) -> list[tuple[Path, Strength]]:
    """The styles that were given, each with its strength. Raises CheckpointMissingError, InvalidInputError."""
    if missing := [folder for folder in arguments.style if not folder.is_dir()]:
        raise CheckpointMissingError(f"There is no folder {missing[0]}.", "Give the folder of a learnt style.")
    count = len(arguments.style)
    overall = one_for_each(arguments.strength or [1.0], "--strength", count)
    attention = one_for_each(arguments.attention_strength or [None], "--attention-strength", count)
    mlp = one_for_each(arguments.mlp_strength or [None], "--mlp-strength", count)
    strengths = [Strength(*parts) for parts in zip(overall, attention, mlp, strict=True)]
    return list(zip(arguments.style, strengths, strict=True))


def one_for_each(given: Sequence[Value], flag: str, count: int) -> list[Value]:
    """Return one value for each of `count` styles. Raises InvalidInputError for a number that fits nothing."""
    if len(given) not in (1, count):
        raise InvalidInputError(
            f"{flag} was given {len(given)} times.", f"Give it once, or once for each style (--style, {count} times)."
        )
    return [*given] * (count if len(given) == 1 else 1)


def prior_songs(arguments: Namespace) -> int:
    """Let a base make the songs that trainings mix in. Raises as `Engine.load` and `save_prior_songs`."""
    runtime = Runtime.of(Settings.load(), arguments.base, arguments.device)
    engine = Engine.load(runtime.base_name, str(runtime.device))
    save_prior_songs(root_of(runtime.base_name), make_prior_songs(engine))
    return 0


COMMANDS = {
    "demo": demo,
    "train": train,
    "generate": generate,
    "replay": replay,
    "prior-songs": prior_songs,
    "roundtrip": roundtrip,
    "tokenize": tokenize,
    "catalogue": catalogue,
    "detokenize": detokenize,
    "dataset": dataset,
    "rungs": rungs,
    "auditions": auditions,
    "checkpoints": checkpoints,
    "songs": manage_songs,
    "hub": hub,
    "check": check,
    "models": models,
}
