"""What can be typed: commands, options and their explanations."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

from heartmula_studio.arch.official import OFFICIAL_MODELS
from heartmula_studio.definition import Setting, settings_of
from heartmula_studio.finetune.config import RENAMED, TrainConfig
from heartmula_studio.finetune.flat_settings import FITTED, FREE
from heartmula_studio.generate.merge_settings import MERGE
from heartmula_studio.generate.request import SONG
from heartmula_studio.store.records import Ending
from heartmula_studio.store.style_files import STYLE_FORMATS
from heartmula_studio.store.views import HUB_LICENSES, AuditionQuestion

# Shorter, earlier or plainer ones.
OTHER_FLAGS = {
    "lora_rank": ("--rank",),
    "max_window_sec": ("--window",),
    "mixed_precision": ("--precision",),
    "gradient_checkpointing": ("--save-memory",),
    **{new: (f"--{old.replace('_', '-')}",) for old, new in RENAMED.items()},
}
PRESETS = ("fast", "balanced", "thorough")
METAVARS = {int: "N", float: "X", str: "TEXT"}
EXIT_CODES = """exit codes:
  0 done   1 a fault of the program   2 a wrong option   3 an audio file that cannot be used
  4 a model or style that cannot be used   5 training failed   6 a file that cannot be read or written
  7 clashes with something that is there   8 not allowed
  9 the Hugging Face Hub cannot be reached, or refuses
  130 stopped by you (training is saved)
"""


ON_DATA = "Works on the studio's data folder (HEARTMULA_DATA_DIR), also while the server runs."
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
    for add in (
        add_demo,
        add_train,
        add_generate,
        add_prior_songs,
        add_roundtrip,
        add_tokenize,
        add_detokenize,
        add_dataset,
        add_rungs,
        add_auditions,
        add_checkpoints,
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
    parser.add_argument("songs", type=Path, metavar="SONGS", help="a folder of songs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of this training run")
    parser.add_argument("--tags", default="", help="words for their style, such as 'afrobeat, highlife, guitar'")
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="epochs and rank by the steps that were heard on this base; --epochs or --rank beside it count more",
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
        "Writes a song, and beside it a receipt (.json) that says how it was made.",
    )
    parser.add_argument("out", type=Path, metavar="SONG", help="file to write: .wav, .flac or .mp3")
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


def add_detokenize(commands: Commands) -> None:
    parser = add_command(
        commands, "detokenize", "turn tokens back into sound", "Writes .wav, .flac or .mp3, by the name you give."
    )
    parser.add_argument("tokens", type=Path, metavar="TOKENS")
    parser.add_argument("out", type=Path, metavar="SONG")
    parser.add_argument("--seed", type=int, default=0, help="same number, same sound (default: %(default)s)")
    add_model_options(parser)


def add_dataset(commands: Commands) -> None:
    actions = add_actions(commands, "dataset", "list the studio's datasets, take one in or out")
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
    measured = add_command(
        actions,
        "losses",
        "find tracks whose lyrics or tags are wrong",
        "Prints how unlikely the base model finds each track with its tags and lyrics, the highest loss first.",
    )
    measured.add_argument("id", metavar="ID", help="as `dataset list` shows it")


def add_rungs(commands: Commands) -> None:
    actions = add_actions(commands, "rungs", "list the checkpoints that a job has kept, use one")
    listed = add_command(actions, "list", "steps, losses and figures", "Prints a line for each, and which to use.")
    kept = add_command(actions, "keep", "make one a style", "It stays when the job is deleted.")
    activated = add_command(actions, "activate", "make songs with one", "Keeps it, and gives every song this style.")
    loaded = add_command(actions, "download", "write one to a .zip", "Any studio can import it.")
    marked = add_command(actions, "star", "mark one", "The mark is shown on the page and in the list.")
    for action in (listed, kept, activated, loaded, marked):
        action.add_argument("job", metavar="JOB", help="the job's id, as the page and REST show it")
    for action in (kept, activated, loaded, marked):
        action.add_argument("step", type=int, metavar="STEP", help="as `rungs list` shows it")
    kept.add_argument("--name", help="of the style (default: dataset and step)")
    activated.add_argument("--strength", type=float, default=1.0, help="0 (no style) to 2 (default: %(default)s)")
    loaded.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .zip to write")
    marked.add_argument("--remove", action="store_true", help="take the mark away")


def add_auditions(commands: Commands) -> None:
    actions = add_actions(commands, "auditions", "tell a job's checkpoint from the base, blind")
    started = add_command(
        actions, "start", "draw pairs of songs", "Writes a.flac and b.flac of each trial, and prints them in order."
    )
    listed = add_command(actions, "list", "ids and results", "Prints a line for each of a job's auditions.")
    voted = add_command(
        actions,
        "vote",
        "say which songs are the trained ones",
        "Takes the next trials in order. Says the result last.",
    )
    for action in (started, listed, voted):
        action.add_argument("job", metavar="JOB", help="the job's id, as the page and REST show it")
    started.add_argument("step", type=int, metavar="STEP", help="as `rungs list` shows it")
    started.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for the songs")
    started.add_argument("--trials", type=int, default=8, help="pairs to judge (default: %(default)s)")
    started.add_argument(
        "--question",
        choices=get_args(AuditionQuestion),
        default="told",
        help="told: which one is the style's; preferred: which one is liked better (default: %(default)s)",
    )
    voted.add_argument("audition", metavar="ID", help="as `auditions start` and `list` show it")
    voted.add_argument("choices", nargs="+", choices=("a", "b"), metavar="a|b", help="one for each trial, in order")


def add_checkpoints(commands: Commands) -> None:
    actions = add_actions(commands, "checkpoints", "list the studio's styles, take one in or out, merge several")
    add_command(actions, "list", "ids, sizes and names", "Prints a line for each style.")
    taken = add_command(
        actions,
        "import",
        "take in a style that was trained elsewhere",
        "Takes a folder, .zip or .safetensors of an adapter by PEFT, kohya, LyCORIS, diffusers, ComfyUI or "
        "SimpleTuner, or of a full checkpoint. Says how many layers it changes, and by how much.",
    )
    taken.add_argument("source", type=Path, metavar="SOURCE", help="a folder or file")
    taken.add_argument("--name", default="", help="what to call it (default: the name of the source)")
    taken.add_argument("--styles", default="", help="words for its style, such as 'afrobeat, highlife'")
    taken.add_argument("--which", default="", metavar="STEP", help="of several, such as checkpoint-500")
    taken.add_argument("--alpha", type=float, metavar="X", help="where the adapter does not tell it")
    given = add_command(
        actions,
        "export",
        "write a style for another program",
        "Writes a new file, or a new folder for peft and merged.",
    )
    given.add_argument("id", metavar="ID", help="as `checkpoints list` shows it")
    given.add_argument("--out", type=Path, required=True, metavar="PATH", help="a new file, or a new folder")
    given.add_argument(
        "--format",
        choices=STYLE_FORMATS,
        default="peft",
        help="peft: a folder; safetensors, kohya, comfyui: one file; merged: full weights for heartlib (default: peft)",
    )
    merged = add_command(
        actions,
        "merge",
        "make a new style of several",
        "Merges two or more LoRA styles, which stay as they are.",
    )
    merged.add_argument("parents", nargs="+", metavar="ID[=STRENGTH]", help="a style, at 0 to 2 times its strength (1)")
    merged.add_argument("--name", required=True, help="what to call it")
    merged.add_argument("--styles", default="", help="words for its style (default: its parents')")
    for name, setting in MERGE.items():
        add_setting(merged, setting, flag(name))


def add_hub(commands: Commands) -> None:
    actions = add_actions(
        commands,
        "hub",
        "styles and datasets on the Hugging Face Hub",
        "Searches, shows, takes in and publishes. Log in with `hf auth login` to publish, and for private ones.",
    )
    search = add_command(actions, "search", "find styles by their tag", "Prints a line for each.")
    search.add_argument("words", nargs="*", metavar="WORD")
    show = add_command(actions, "show", "print a card", "Prints the card of a repository, and its revision.")
    pull = add_command(actions, "pull", "take one in", "Takes in a style, pinned to a revision, or a dataset.")
    for reading in (show, pull):
        reading.add_argument("repo_id", metavar="USER/NAME")
        reading.add_argument("--revision", default="", help="a commit, branch or tag (default: the newest)")
    pull.add_argument("--name", default="", help="what to call it here (default: the repository's name)")
    pull.add_argument("--styles", default="", help="words for its style, such as 'afrobeat, highlife'")
    pull.add_argument("--which", default="", metavar="STEP", help="of several, such as checkpoint-500")
    pull.add_argument("--alpha", type=float, metavar="X", help="where the adapter does not tell it")
    push = add_command(
        actions, "push", "publish one", "Publishes a style or dataset with a card, privately by default."
    )
    push.add_argument("id", metavar="ID", help="as `checkpoints list` or `dataset list` shows it")
    push.add_argument("repo_id", metavar="USER/NAME")
    push.add_argument("--license", default="other", choices=HUB_LICENSES, metavar="NAME", help="as the Hub names it")
    push.add_argument("--public", action="store_true", help="for everybody to see")
    push.add_argument("--confirm-rights", action="store_true", help="you may publish it, though rights are not stated")
    push.add_argument("--update", action="store_true", help="add to a repository that is there")
    for action in (search, show, pull, push):
        action.add_argument("--dataset", action="store_true", help="a dataset instead of a style")


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


def add_command(commands: Commands, name: str, help: str, description: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=help, description=description)


def add_actions(commands: Commands, name: str, help: str, description: str = ON_DATA) -> Commands:
    """Add a command of several actions, and return what these are added to."""
    parser = add_command(commands, name, help, description)
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", help="nano, or a folder with the official checkpoints (default: the best you have)")
    parser.add_argument("--device", help="auto, cpu, mps, cuda, cuda:1, xpu … (default: auto)")


def add_setting(parser: argparse.ArgumentParser, setting: Setting, *flags: str, **more: Any) -> None:
    """Add an option for a setting; left out, it is None."""
    value: dict[str, Any] = {"choices": setting.choices or None}
    if setting.kind is bool:
        value = {"action": argparse.BooleanOptionalAction}
    elif setting.kind is tuple:
        value |= {"nargs": "+", "metavar": "NAME"}
    else:
        value |= {"type": setting.kind, "metavar": None if setting.choices else METAVARS[setting.kind]}
    parser.add_argument(*flags, dest=setting.name, help=help_of(setting), **value, **more)


def help_of(setting: Setting) -> str:
    """What a setting does, and its default where that is one for all."""
    if setting.kind is tuple:
        return f"{setting.help} Out of {', '.join(setting.choices)}."
    is_shown = setting.kind in METAVARS and setting.default not in (None, "") and setting.name not in FITTED
    return f"{setting.help} Default: {setting.default}." if is_shown else setting.help


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
