"""Blind auditions from a shell: songs in the order to listen to, votes, and the result."""

import shutil
from argparse import Namespace

from heartmula_studio.cli.datasets import still_studio
from heartmula_studio.errors import ConflictError
from heartmula_studio.files.atomic import replaced_folder
from heartmula_studio.files.wording import counted
from heartmula_studio.services.training.auditions import SIDES
from heartmula_studio.store.views import Audition
from heartmula_studio.studio import Studio


def auditions(arguments: Namespace) -> int:
    with still_studio() as studio:
        ACTIONS[arguments.action](studio, arguments)
    return 0


def start(studio: Studio, arguments: Namespace) -> None:
    """Draw pairs, and write their songs under names that tell nothing. Raises ConflictError where the folder exists."""
    out = arguments.out
    if out.exists():
        raise ConflictError(f"{out} already exists.", "Give a new folder.")
    audition = studio.auditions.start(arguments.job, arguments.step, arguments.trials, arguments.question)
    names = [(trial, side, f"{trial + 1:02d}-{side}.flac") for trial in range(len(audition.trials)) for side in SIDES]
    with replaced_folder(out) as folder:
        for trial, side, name in names:
            # Not with its times: those of the trained songs are later.
            shutil.copyfile(studio.auditions.audio(audition.job_id, audition.id, trial, side), folder / name)
    for _, _, name in names:
        print(out / name)
    print(f"{audition.id}: listen in this order, then vote a or b for each pair")


def list_auditions(studio: Studio, arguments: Namespace) -> None:
    for audition in studio.auditions.list(arguments.job):
        print(line(audition))


def line(audition: Audition) -> str:
    """Put an audition into one line."""
    voted = sum(trial.choice is not None for trial in audition.trials)
    result = audition.result.sentence if audition.result else f"{voted} of {counted(len(audition.trials), 'vote')}"
    return f"{audition.id}  step {audition.step}  {result}"


def vote(studio: Studio, arguments: Namespace) -> None:
    """Vote on the next trials that have no vote. Raises ConflictError for more votes than there are of these."""
    audition = studio.auditions.get(arguments.job, arguments.audition)
    open_trials = [number for number, trial in enumerate(audition.trials) if trial.choice is None]
    if len(arguments.choices) > len(open_trials):
        raise ConflictError(
            f"{len(open_trials)} of {len(audition.trials)} trials wait for a vote, and {len(arguments.choices)} came.",
            "Give one vote for each trial that waits.",
        )
    for trial, choice in zip(open_trials, arguments.choices, strict=False):
        audition = studio.auditions.vote(arguments.job, arguments.audition, trial, choice)
    print(line(audition))


ACTIONS = {"start": start, "list": list_auditions, "vote": vote}
