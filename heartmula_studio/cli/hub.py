"""The Hugging Face Hub from a shell: found, shown, taken in, published."""

from argparse import Namespace
from contextlib import closing
from itertools import chain

from heartmula_studio.cli.datasets import print_imported, still_studio, with_progress
from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.services.library.import_steps import DownloadStep, PullSteps
from heartmula_studio.store.views import ImportedDataset, RepoKind
from heartmula_studio.studio import Studio


def hub(arguments: Namespace) -> int:
    with still_studio() as studio:
        {"search": search, "show": show, "pull": pull, "push": push}[arguments.action](studio, arguments)
    return 0


def search(studio: Studio, arguments: Namespace) -> None:
    for repo in studio.hub.find(kind_of(arguments), " ".join(arguments.words)):
        print(f"{repo.id}  {repo.revision[:12]}  {repo.license or 'no licence stated'}")


def show(studio: Studio, arguments: Namespace) -> None:
    repo = studio.hub.look_at(arguments.repo_id, kind_of(arguments), arguments.revision)
    print(f"{repo.id}, revision {repo.revision}\n")
    print("".join(character for character in repo.card if character.isprintable() or character in "\n\t"))


def pull(studio: Studio, arguments: Namespace) -> None:
    repo, styles = (arguments.repo_id, arguments.revision, arguments.name), split_tags(arguments.styles)
    if arguments.dataset:
        with closing(studio.imports.pull_one_by_one(*repo, styles)) as steps:
            print_imported(with_download(steps))
        return
    style = studio.hub.pull_style(*repo, styles, arguments.which, arguments.alpha)
    for warning in style.warnings:
        print(f"Note: {warning}")
    print(f"{style.id}: {style.name}, revision {style.origin['revision']}")


def with_download(steps: PullSteps) -> ImportedDataset:
    """Show a bar for the download, and then one for the songs; where it is stopped, nothing has come in."""
    with progress_bar("Downloading", "B") as report:
        for step in steps:
            if not isinstance(step, DownloadStep):
                break
            report(step.done_bytes, step.total_bytes)
    return with_progress(chain((step,), steps))


def push(studio: Studio, arguments: Namespace) -> None:
    publish = studio.hub.push_dataset if arguments.dataset else studio.hub.push_style
    is_private, is_confirmed = not arguments.public, arguments.confirm_rights
    done = publish(arguments.id, arguments.repo_id, arguments.license, is_private, is_confirmed, arguments.update)
    print(f"{done.url}, revision {done.revision}")


def kind_of(arguments: Namespace) -> RepoKind:
    return "dataset" if arguments.dataset else "model"
