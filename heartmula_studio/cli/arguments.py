"""What can be typed: commands, options and their explanations."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from heartmula_studio.arch.official import OFFICIAL_MODELS
from heartmula_studio.cli.parsers import Commands, add_actions, add_command, add_model_options, add_setting, flag
from heartmula_studio.cli.studio_arguments import (
    add_auditions,
    add_checkpoints,
    add_dataset,
    add_hub,
    add_rungs,
    add_songs,
)
from heartmula_studio.definition import settings_of
from heartmula_studio.finetune.config import RENAMED, TrainConfig
from heartmula_studio.finetune.flat_settings import FREE
from heartmula_studio.generate.decode_settings import DECODE
from heartmula_studio.generate.request import MAX_TAKES, SONG
from heartmula_studio.store.generations import FORMATS, suffix_of
from heartmula_studio.store.records import Ending

# Shorter, earlier or plainer ones.
OTHER_FLAGS = {
    "lora_rank": ("--rank",),
    "max_window_sec": ("--window",),
    "mixed_precision": ("--precision",),
    "gradient_checkpointing": ("--save-memory",),
    **{new: (f"--{old.replace('_', '-')}",) for old, new in RENAMED.items()},
}
WRITTEN = f"file to write: {', '.join(map(suffix_of, FORMATS))}"
PRESETS = ("fast", "balanced", "thorough")
EXIT_CODES = """exit codes:
  0 done   1 a bug in the program   2 a wrong option   3 an audio file that cannot be used
  4 a model or style that cannot be used   5 training failed   6 a file that cannot be read or written
  7 clashes with something that is there   8 not allowed
  9 the Hugging Face Hub cannot be reached, or refuses   10 the cluster cannot be reached
  130 stopped by you (training is saved)
"""


COMMAND = "heartmula-studio" if Path(sys.argv[0]).stem == "heartmula-studio" else "python -m heartmula_studio"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Teach HeartMuLa your style: from your songs to new songs that sound like them.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="the page, REST and gradio_client on one port; runs until Ctrl-C")
    for add in (
        add_demo,
        add_train,
        add_generate,
        add_replay,
        add_prior_songs,
        add_roundtrip,
        add_tokenize,
        add_catalogue,
        add_detokenize,
        add_dataset,
        add_rungs,
        add_auditions,
        add_checkpoints,
        add_songs,
        add_hub,
        add_check,
        add_models,
    ):
        add(commands)
    return parser.parse_args(arguments)


def add_demo(commands: Commands) -> None:
    parser = add_command(
        commands,
        "demo",
        "the whole path in a minute or two: learn a style from a few songs, make a song before and after",
        "Learns the style of at least five songs (six short clips come along), makes the same song without and with "
        "it, and shows what was learnt. Writes before.wav, after.wav, adapter/, loss.png and results.md.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for everything it makes")
    parser.add_argument(
        "--songs", type=Path, metavar="FOLDER", help="your own songs instead of the clips (five or more)"
    )
    parser.add_argument("--tags", help="words for their style, such as 'techno, fast' (default: that of the clips)")
    parser.add_argument("--steps", type=int, help="how long to train (default: what suits the base)")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of the two songs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same number, same song (default: %(default)s)")
    add_model_options(parser)


def add_train(commands: Commands) -> None:
    parser = add_command(
        commands,
        "train",
        "learn a style from a folder of songs",
        "Learns from MP3, WAV, FLAC, OGG, AIFF, CAF and M4A files. Lyrics are read from a text file of the same name. "
        "Ctrl-C saves and stops; the same command again goes on from there.",
    )
    parser.add_argument("songs", type=Path, metavar="SONGS", help="a folder of songs, or the output of `catalogue`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of this training run")
    parser.add_argument("--tags", default="", help="words for their style, such as 'afrobeat, highlife, guitar'")
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="epochs and rank by the number of steps after which a style was heard on this base; --epochs and --rank "
        "take precedence",
    )
    parser.add_argument(
        "--ending",
        choices=get_args(Ending),
        default="as_heard",
        help="whether all recordings come to an end, which is learnt, or are cut off (default: what is heard)",
    )
    add_setting(parser, settings_of(TrainConfig)["method"], "--method")
    for name, setting in FREE.items():
        add_setting(parser, setting, flag(name), *OTHER_FLAGS.get(name, ()))
    add_model_options(parser)


def add_generate(commands: Commands) -> None:
    parser = add_command(
        commands,
        "generate",
        "make a song, with or without a learnt style",
        "Writes a song, and beside it a receipt (.json) that says how it was made, and its codes (.codes.safetensors).",
    )
    parser.add_argument("out", type=Path, metavar="SONG", help=WRITTEN)
    add_setting(parser, SONG["tags"], "--tags", required=True)
    add_setting(parser, SONG["lyrics"], "--lyrics")
    parser.add_argument("--lyrics-file", type=Path, metavar="FILE", help="read the words from a text file")
    parser.add_argument(
        "--style",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a learnt style, such as DIR/checkpoints/best; given several times, LoRA styles are mixed",
    )
    for name, of in (("--strength", ""), ("--attention-strength", ", attention"), ("--mlp-strength", ", MLP")):
        words = f"0 (no style) to 2{of and f'{of} layers alone'}; one for all styles, or one for each in their order"
        parser.add_argument(name, type=float, action="append", default=[], metavar="X", help=words)
    add_setting(parser, SONG["duration_sec"], "--seconds")
    add_setting(parser, SONG["seed"], "--seed")
    add_setting(parser, SONG["temperature"], "--temperature")
    add_setting(parser, SONG["topk"], "--top-k")
    add_setting(parser, SONG["cfg_scale"], "--guidance")
    add_setting(parser, SONG["loudness_lufs"], "--loudness")
    add_setting(parser, SONG["min_duration_sec"], "--min-seconds")
    add_ways_of_making(parser)
    add_model_options(parser)


def add_ways_of_making(parser: argparse.ArgumentParser) -> None:
    """Add what a song begins with, and how many are made."""
    parser.add_argument(
        "--continue",
        dest="source",
        type=Path,
        metavar="FILE",
        help="go on from a song with its codes beside it, or from a recording's tokens (.pt)",
    )
    parser.add_argument("--from", dest="from_sec", type=float, metavar="SEC", help="go on at this second (its end)")
    parser.add_argument(
        "--to",
        dest="to_sec",
        type=float,
        metavar="SEC",
        help="remake only the part up to this second; the rest of the song stays as it is, and as long",
    )
    parser.add_argument(
        "--takes", type=int, default=1, metavar="N", help=f"1 to {MAX_TAKES} songs at once, as SONG-1, SONG-2 and so on"
    )
    parser.add_argument(
        "--until-end",
        action="store_true",
        help="make the takes one after the other, and stop at the first that ends by itself",
    )
    parser.add_argument(
        "--stream", action="store_true", help="write the sound to standard output as WAV while it is made, for a player"
    )


def add_replay(commands: Commands) -> None:
    parser = add_command(
        commands,
        "replay",
        "make a song again by its receipt",
        "Writes the same song bit for bit, or says what differs and ends with 7. Styles are found by their weights, in "
        "the studio's data folder (HEARTMULA_DATA_DIR) and among those that are given.",
    )
    parser.add_argument("receipt", type=Path, metavar="RECEIPT", help="the .json beside a song, or the song itself")
    parser.add_argument("out", type=Path, metavar="SONG", help=WRITTEN)
    parser.add_argument(
        "--style", type=Path, action="append", default=[], metavar="FOLDER", help="where a style of the song lies"
    )
    add_model_options(parser)


def add_prior_songs(commands: Commands) -> None:
    parser = add_command(
        commands,
        "prior-songs",
        "let a base make songs that trainings mix in, against forgetting",
        "Makes sixteen songs and puts them into the base's folder. A training with a --prior-fraction above 0 needs "
        "them; the bundled base has its own.",
    )
    add_model_options(parser)


def add_roundtrip(commands: Commands) -> None:
    parser = add_command(
        commands,
        "roundtrip",
        "hear what the model will hear of a song",
        "Turns a song into tokens and back, writes the result and prints how far it is from the original.",
    )
    parser.add_argument("song", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: FILE.heard.wav beside the song")
    add_model_options(parser)


def add_tokenize(commands: Commands) -> None:
    parser = add_command(commands, "tokenize", "turn songs into tokens", "Writes one .pt file of tokens for each song.")
    parser.add_argument("songs", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: beside each song")
    add_model_options(parser)


def add_catalogue(commands: Commands) -> None:
    parser = add_command(
        commands,
        "catalogue",
        "turn very many recordings into tokens",
        "Writes Parquet files of tokens, an index, and a report of what cannot be used. Goes on where it ended.",
    )
    parser.add_argument("audio", type=Path, metavar="DIR", help="folder of recordings, with folders in it")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes of this machine, a core each")
    parser.add_argument(
        "--ray",
        metavar="HOST:PORT",
        help="use the nodes of a Ray cluster instead, which see both folders at the same path",
    )
    add_model_options(parser)


def add_detokenize(commands: Commands) -> None:
    parser = add_command(
        commands, "detokenize", "turn tokens back into sound", "Writes the format that the name you give ends in."
    )
    parser.add_argument("tokens", type=Path, metavar="TOKENS", help="as tokenize wrote them, or a song's codes")
    parser.add_argument("out", type=Path, metavar="SONG", help=WRITTEN)
    add_setting(parser, DECODE["decode_seed"], "--seed")
    add_setting(parser, DECODE["decode_steps"], "--steps")
    add_setting(parser, DECODE["decode_guidance"], "--guidance")
    add_setting(parser, DECODE["decode_windows"], "--windows")
    add_model_options(parser)


def add_check(commands: Commands) -> None:
    parser = add_command(
        commands,
        "check",
        "look whether a folder of official checkpoints can be used",
        "Reads configs and headers, not the weights: says what is there, what fits, what is missing and where to "
        "download it, and which tensors differ. Ends with 0 where songs can be made.",
    )
    parser.add_argument("base", metavar="CKPT", help="a folder with the official checkpoints, or nano")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def add_models(commands: Commands) -> None:
    actions = add_actions(
        commands,
        "models",
        "download the official model, look after it",
        "From the Hugging Face Hub, or from HF_ENDPOINT, into HEARTMULA_CHECKPOINTS_DIR or the data folder's models/. "
        "A download that was stopped goes on where it ended.",
    )
    add_command(actions, "list", "sizes, licences, and what is here", "Prints two lines for each model.")
    for name, help in (
        ("download", "download one, or go on with it"),
        ("verify", "hash all its files; damaged ones are removed"),
        ("remove", "remove what was downloaded of it"),
    ):
        action = add_command(actions, name, help, f"{help[0].upper()}{help[1:]}.")
        action.add_argument("name", metavar="NAME", nargs="?", default=OFFICIAL_MODELS[0].name, help="%(default)s")
