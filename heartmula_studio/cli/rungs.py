"""The checkpoints that a job has kept, from a shell: listed, and used."""

from argparse import Namespace

from heartmula_studio.cli.datasets import still_studio
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.store.views import Rung
from heartmula_studio.studio import Studio


def rungs(arguments: Namespace) -> int:
    with still_studio() as studio:
        ACTIONS[arguments.action](studio, arguments)
    return 0


def list_rungs(studio: Studio, arguments: Namespace) -> None:
    ladder = studio.ladder.get(arguments.job)
    for rung in ladder.rungs:
        print(line(rung))
    for said in filter(None, (ladder.verdict, ladder.reason)):
        print(said)


def line(rung: Rung) -> str:
    """Put a rung into one line."""
    figures = {"held-out loss": rung.eval_loss, "nearness": rung.figures.get("nearness")}
    said = [f"{name} {value:.4f}" for name, value in figures.items() if value is not None]
    marks = [name for name, holds in (("recommended", rung.recommended), ("starred", rung.starred)) if holds]
    return "  ".join([f"{rung.step:8}", "base" if rung.is_base else f"epoch {rung.epoch}", *said, *rung.faults, *marks])


def keep(studio: Studio, arguments: Namespace) -> None:
    kept = studio.ladder.keep(arguments.job, arguments.step, arguments.name)
    print(f"{kept.id}  {kept.name}")


def activate(studio: Studio, arguments: Namespace) -> None:
    active = studio.ladder.activate(arguments.job, arguments.step, arguments.strength)
    print(f"{active.id}  {active.name} is active, at strength {active.strength:g}")


def download(studio: Studio, arguments: Namespace) -> None:
    _, pieces = studio.ladder.download(arguments.job, arguments.step)
    with replaced_file(arguments.out) as temporary, temporary.open("wb") as file:
        file.writelines(pieces)
    print(arguments.out)


def star(studio: Studio, arguments: Namespace) -> None:
    print(line(studio.ladder.star(arguments.job, arguments.step, not arguments.remove)))


ACTIONS = {"list": list_rungs, "keep": keep, "activate": activate, "download": download, "star": star}
