"""The studio's styles from a shell: listed, taken in and out."""

from argparse import Namespace

from heartmula_studio.cli.datasets import still_studio
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.studio import Studio


def checkpoints(arguments: Namespace) -> int:
    actions = {"list": list_checkpoints, "import": import_checkpoint, "export": export_checkpoint}
    with still_studio() as studio:
        actions[arguments.action](studio, arguments)
    return 0


def list_checkpoints(studio: Studio, _: Namespace) -> None:
    for checkpoint in studio.checkpoints.list():
        print(f"{checkpoint.id}  {checkpoint.method:4}  {checkpoint.size_bytes:>14,} bytes  {checkpoint.name}")


def import_checkpoint(studio: Studio, arguments: Namespace) -> None:
    source, styles = arguments.source, split_tags(arguments.styles)
    name = arguments.name or source.stem
    taken = studio.checkpoints.import_archive(source, name, styles, None, arguments.which, arguments.alpha)
    for warning in taken.warnings:
        print(f"Note: {warning}")
    print(f"{taken.id}: {taken.name}")
    if change := taken.change:
        print(f"Changes {change.changed} of {change.of} weights, by {change.relative_norm:.3g} of their size.")


def export_checkpoint(studio: Studio, arguments: Namespace) -> None:
    studio.checkpoints.export_to(arguments.id, arguments.format, arguments.out)
    print(arguments.out)
