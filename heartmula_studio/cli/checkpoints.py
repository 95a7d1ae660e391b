"""The studio's styles from a shell: listed, taken in and out, merged."""

from argparse import Namespace

from heartmula_studio.cli.datasets import still_studio
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.merge_settings import MERGE
from heartmula_studio.store.records import Checkpoint, StyleChoice
from heartmula_studio.studio import Studio


def checkpoints(arguments: Namespace) -> int:
    actions = {
        "list": list_checkpoints,
        "import": import_checkpoint,
        "export": export_checkpoint,
        "merge": merge_checkpoints,
    }
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
    print_new(taken)


def merge_checkpoints(studio: Studio, arguments: Namespace) -> None:
    settings = {name: value for name in MERGE if (value := getattr(arguments, name)) is not None}
    styles = split_tags(arguments.styles)
    print_new(
        studio.checkpoints.merge(arguments.name, [parent(text) for text in arguments.parents], styles, **settings)
    )


def parent(text: str) -> StyleChoice:
    """Read ID or ID=STRENGTH. Raises InvalidInputError."""
    id, _, strength = text.partition("=")
    try:
        return StyleChoice(id, float(strength or 1))
    except ValueError as error:
        raise InvalidInputError(f"The strength in {text!r} is no number.", "Give ID or ID=0.7.") from error


def print_new(style: Checkpoint) -> None:
    for warning in style.warnings:
        print(f"Note: {warning}")
    print(f"{style.id}: {style.name}")
    if change := style.change:
        print(f"Changes {change.changed} of {change.of} weights, by {change.relative_norm:.3g} of their size.")
        if change.peft_difference is not None:
            print(f"Compared with PEFT: logits differ by {change.peft_difference:.1g} of the largest.")


def export_checkpoint(studio: Studio, arguments: Namespace) -> None:
    studio.checkpoints.export_to(arguments.id, arguments.format, arguments.out)
    print(arguments.out)
