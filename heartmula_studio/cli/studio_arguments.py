"""What can be typed of commands that work on the studio's data folder."""

import argparse
from pathlib import Path
from typing import get_args

from heartmula_studio.cli.parsers import Commands, add_actions, add_command, add_setting, flag
from heartmula_studio.codec.clean_settings import CLEAN
from heartmula_studio.generate.merge_settings import MERGE
from heartmula_studio.services.songs.history import QUERY
from heartmula_studio.store.generations import FORMATS
from heartmula_studio.store.songs import ENDINGS, RIGHTS
from heartmula_studio.store.style_files import STYLE_FORMATS
from heartmula_studio.store.task_views import AnalysisKind
from heartmula_studio.store.views import HUB_LICENSES, AuditionQuestion


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
    _add_edits(actions)
    _add_cleaning(actions)
    _add_looks_at_tracks(actions)
    _add_proposals(actions)


def _add_which_tracks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `dataset list` shows it")
    parser.add_argument("--track", action="append", default=[], metavar="FILE", help="only this one; may be repeated")


def _add_edits(actions: Commands) -> None:
    edited = add_command(
        actions,
        "edit",
        "change lyrics, tags and rights of tracks",
        "Changes one track, several, or all, in one way; what is left out stays. All are changed, or none.",
    )
    _add_which_tracks(edited)
    edited.add_argument(
        "--tags", metavar="TAGS", help='comma-separated, in place of those there; "" for the dataset\'s'
    )
    edited.add_argument("--add-tags", default="", metavar="TAGS", help="comma-separated")
    edited.add_argument("--remove-tags", default="", metavar="TAGS", help="comma-separated")
    edited.add_argument("--trigger-word", default="", metavar="TAG", help="a tag to put before all others")
    edited.add_argument("--rights", choices=RIGHTS)
    edited.add_argument("--ending", choices=ENDINGS, help="whether the recording comes to an end, or is cut off")
    edited.add_argument("--lyrics", type=Path, metavar="FILE", help="a text, plain or LRC, in UTF-8")


def _add_cleaning(actions: Commands) -> None:
    cleaned = add_command(
        actions,
        "clean",
        "trim silence and set the loudness of tracks",
        "Cleans one track, several, or all; timed lyrics move along. Originals stay until they are discarded.",
    )
    _add_which_tracks(cleaned)
    for name, setting in CLEAN.items():
        add_setting(cleaned, setting, flag(name))
    instead = cleaned.add_mutually_exclusive_group()
    instead.add_argument("--undo", action="store_true", help="take back how they were cleaned")
    instead.add_argument("--discard-originals", action="store_true", help="remove the originals, for good")


def _add_looks_at_tracks(actions: Commands) -> None:
    """What is found of a dataset's tracks."""
    measured = add_command(
        actions,
        "losses",
        "find tracks whose lyrics or tags are wrong",
        "Prints how unlikely the base model finds each track with its tags and lyrics, the highest loss first.",
    )
    checked = add_command(
        actions,
        "sound",
        "find recordings to cut, export again or leave out",
        "Prints each track's loudness; warns of silence at its ends, clipping, phase, DC offset and duplicates.",
    )
    read = add_command(
        actions,
        "prompts",
        "show what a training will read of the tracks",
        "Prints each track's tags, and its lyrics window by window, as the model reads them, and the lines left out.",
    )
    for action in (measured, checked, read):
        action.add_argument("id", metavar="ID", help="as `dataset list` shows it")


def _add_proposals(actions: Commands) -> None:
    """What programs propose for tracks, and what a person says to it."""
    proposed = add_command(
        actions,
        "propose",
        "find tempo and key of the tracks, their lyrics, or tags",
        "Listens to each track once, and proposes what it finds. Nothing changes before it is accepted. Stopped and "
        "started again, it goes on with the tracks that are left.",
    )
    proposed.add_argument(
        "--what",
        choices=[kind.replace("_", "-") for kind in get_args(AnalysisKind)],
        default="tempo-and-key",
        help="what to look for (default: %(default)s)",
    )
    proposed.add_argument("--model", default="", metavar="FOLDER", help="to transcribe lyrics or find tags with")
    proposed.add_argument("--language", default="", metavar="CODE", help="of the lyrics, as en (default: as heard)")
    proposed.add_argument(
        "--separate-vocals",
        action=argparse.BooleanOptionalAction,
        help="transcribe the voice alone, separated by Demucs (default: where it is installed and its model is here)",
    )
    proposed.add_argument("--separator", default="", metavar="FOLDER", help="to separate the voice with")
    decided = add_command(
        actions,
        "decide",
        "accept or reject what was proposed",
        "Decides on all, or on some of one track; or undoes it.",
    )
    for action in (proposed, decided):
        action.add_argument("id", metavar="ID", help="as `dataset list` shows it")
    decided.add_argument("decision", choices=("accept", "reject", "undo"))
    decided.add_argument("--track", default="", metavar="FILE", help="only of this one (default: all)")
    decided.add_argument(
        "--number", type=int, action="append", default=[], help="as `dataset propose` shows it; may be repeated"
    )


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
        "import a style that was trained elsewhere",
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


def add_songs(commands: Commands) -> None:
    actions = add_actions(commands, "songs", "find the studio's songs, name them, take them out")
    listed = add_command(actions, "list", "ids, lengths and titles", "Prints a line for each song.")
    for name, setting in QUERY.items():
        add_setting(listed, setting, flag(name))
    named = add_command(actions, "rename", "give a song a title", "Its file says so, too.")
    starred = add_command(actions, "star", "mark a song", "Prints its line.")
    starred.add_argument("--remove", action="store_true", help="take the mark away")
    covered = add_command(actions, "cover", "give a song a cover image", "Its file carries it, in every format.")
    covered.add_argument("--remove", action="store_true", help="take it away")
    for parser in (named, starred, covered):
        parser.add_argument("id", metavar="ID", help="as `songs list` shows it")
    covered.add_argument("image", type=Path, nargs="?", metavar="IMAGE", help="a JPEG or PNG")
    named.add_argument("title", metavar="TITLE")
    given = add_command(actions, "export", "write songs into one zip", "Each is called by its title.")
    given.add_argument("ids", metavar="ID", nargs="+", help="as `songs list` shows it")
    given.add_argument("--out", type=Path, required=True, metavar="FILE", help="the zip to write")
    given.add_argument("--format", choices=FORMATS, help="of all of them (default: that each was made in)")
