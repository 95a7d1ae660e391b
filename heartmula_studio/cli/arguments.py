"""What can be typed: commands, options and their explanations."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

EXIT_CODES = """exit codes:
  0 done   1 a fault of the program   2 a wrong option   3 an audio file that cannot be used
  4 a model or style that cannot be used   5 training failed   6 a file that cannot be read or written
  130 stopped by you (training is saved)
"""


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
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
    for add in (add_demo, add_train, add_generate, add_roundtrip, add_tokenize, add_detokenize, add_dataset, add_check):
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
    parser.add_argument("--steps", type=int, default=30, help="how long to train (default: %(default)s steps)")
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
    parser.add_argument("songs", type=Path, metavar="SONGS", help="a folder of songs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of this training run")
    parser.add_argument("--tags", default="", help="words for their style, such as 'afrobeat, highlife, guitar'")
    parser.add_argument(
        "--method", choices=("lora", "full"), help="lora: small and quick (default). full: every weight"
    )
    parser.add_argument("--epochs", type=int, help="how often each song is heard (default: 4)")
    parser.add_argument("--max-steps", type=int, help="stop after this many steps, however many epochs that is")
    parser.add_argument(
        "--learning-rate",
        type=float,
        help="default: 0.0001, more for a LoRA on a small base; lower it when the loss rises",
    )
    parser.add_argument("--rank", type=int, dest="lora_rank", help="size of a LoRA, 8 to 32 is common (default: 8)")
    parser.add_argument("--batch-size", type=int, help="songs heard at once (default: 1)")
    parser.add_argument("--window", type=float, dest="max_window_sec", help="longest stretch heard at once, in seconds")
    parser.add_argument("--precision", dest="mixed_precision", choices=("no", "bf16", "fp16"), help="default: no")
    parser.add_argument(
        "--base-dtype", choices=("float32", "bfloat16", "nf4"), help="of the base in memory; nf4 is for a LoRA"
    )
    parser.add_argument(
        "--save-memory",
        dest="gradient_checkpointing",
        action="store_const",
        const=True,
        help="slower, with less memory: recompute instead of remember (on by itself on a GPU)",
    )
    parser.add_argument("--seed", type=int, help="same number, same run (default: 0)")
    add_model_options(parser)


def add_generate(commands: Commands) -> None:
    parser = add_command(
        commands,
        "generate",
        "make a song, with or without a learnt style",
        "Writes a song, and beside it a receipt (.json) that says how it was made.",
    )
    parser.add_argument("out", type=Path, metavar="SONG", help="file to write: .wav, .flac or .mp3")
    parser.add_argument("--tags", required=True, help="words for the music, such as 'piano, slow, calm'")
    parser.add_argument("--lyrics", default="", help="the words to sing; section marks like [verse] help")
    parser.add_argument("--lyrics-file", type=Path, metavar="FILE", help="read the words from a text file")
    parser.add_argument("--style", type=Path, metavar="FOLDER", help="a learnt style, such as DIR/checkpoints/best")
    parser.add_argument("--strength", type=float, default=1.0, help="0 (no style) to 2 (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="the longest it may get (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="same number, same song (default: a new one each time)")
    parser.add_argument("--temperature", type=float, default=1.0, help="lower is tamer (default: %(default)s)")
    parser.add_argument("--top-k", type=int, default=50, help="how many sounds to choose from (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=1.5, help="how closely to follow the words (default: 1.5)")
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


def add_detokenize(commands: Commands) -> None:
    parser = add_command(
        commands, "detokenize", "turn tokens back into sound", "Writes .wav, .flac or .mp3, by the name you give."
    )
    parser.add_argument("tokens", type=Path, metavar="TOKENS")
    parser.add_argument("out", type=Path, metavar="SONG")
    parser.add_argument("--seed", type=int, default=0, help="same number, same sound (default: %(default)s)")
    add_model_options(parser)


def add_dataset(commands: Commands) -> None:
    parser = add_command(
        commands,
        "dataset",
        "list the studio's datasets, take one in or out",
        "Works on the studio's data folder (HEARTMULA_DATA_DIR), also while the server runs.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_command(actions, "list", "ids, sizes and names", "Prints a line for each dataset.")
    taken = add_command(
        actions,
        "import",
        "make a dataset of songs that lie elsewhere",
        "Takes a folder, .zip or .tar of songs with a metadata.csv, .jsonl or .parquet, or .txt and .lrc files beside "
        "them; a parquet file; a dataset saved by `datasets`; WebDataset shards; or user/name on the Hugging Face Hub.",
    )
    taken.add_argument("source", metavar="SOURCE", help="a path, or user/name on the Hub")
    taken.add_argument("--name", default="", help="what to call it (default: the name of the source)")
    taken.add_argument("--styles", default="", help="words for its style, such as 'afrobeat, highlife'")
    taken.add_argument("--split", default="", help="take only this split (default: all)")
    given = add_command(
        actions, "export", "write a dataset to a folder or file", "Writes songs, lyrics, tags and rights."
    )
    given.add_argument("id", metavar="ID", help="as `dataset list` shows it")
    given.add_argument("--out", type=Path, required=True, metavar="PATH", help="a new folder, or a file")
    given.add_argument(
        "--format",
        choices=("folder", "zip", "parquet", "webdataset"),
        default="folder",
        help="folder or zip of audio files with a metadata.jsonl, parquet, or a WebDataset .tar (default: %(default)s)",
    )


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


def add_command(commands: Commands, name: str, help: str, description: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=help, description=description)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", help="nano, or a folder with the official checkpoints (default: the best you have)")
    parser.add_argument("--device", help="cpu, cuda, or auto (default: auto)")
