"""The studio's datasets from a shell: listed, taken in and out."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from textwrap import indent
from typing import get_args

from tqdm import tqdm

from heartmula_studio.cli.progress import progress_bar
from heartmula_studio.codec.clean_settings import CLEAN, CleanSettings
from heartmula_studio.dataset.prompt import split_tags
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.wording import counted
from heartmula_studio.lyrics.decoding import read_lyrics_file
from heartmula_studio.services.library.import_steps import DownloadStep, ImportStep
from heartmula_studio.settings import Settings
from heartmula_studio.store.records import Proposal
from heartmula_studio.store.store import Store
from heartmula_studio.store.task_views import AnalysisKind
from heartmula_studio.store.track_changes import TrackChange
from heartmula_studio.store.views import ImportedDataset, SoundReport, TrackCleaning, TrackLosses, TrackSound
from heartmula_studio.studio import Studio


@contextmanager
def still_studio() -> Iterator[Studio]:
    """The studio on its data folder, without the queues that a server runs."""
    settings = Settings.load()
    studio = Studio(settings, Store(settings.data_dir, settings.max_upload_bytes, settings.max_files))
    try:
        yield studio
    finally:
        studio.close()


def dataset(arguments: Namespace) -> int:
    with still_studio() as studio:
        ACTIONS[arguments.action](studio, arguments)
    return 0


def list_datasets(studio: Studio, _: Namespace) -> None:
    for dataset in studio.datasets.list():
        print(f"{dataset.id}  {counted(len(dataset.audio_files), 'song'):>12}  {dataset.name}")


def import_dataset(studio: Studio, arguments: Namespace) -> None:
    styles = split_tags(arguments.styles)
    steps = studio.imports.local_one_by_one(arguments.source, arguments.name, styles, arguments.split)
    print_imported(with_progress(steps))


def print_imported(taken: ImportedDataset) -> None:
    for item in taken.skipped:
        print(f"Left out: {item.name}: {item.reason}")
    print(f"{taken.id}: {counted(len(taken.audio_files), 'song')}, {len(taken.skipped)} left out")


def with_progress(steps: Iterable[DownloadStep | ImportStep | ImportedDataset]) -> ImportedDataset:
    """Show a bar for the songs as they come in; where it is stopped, nothing has come in."""
    with progress_bar("Importing", "song") as report:
        for step in steps:
            if isinstance(step, ImportedDataset):
                report(len(step.audio_files), len(step.audio_files))
                return step
            if isinstance(step, ImportStep):
                report(step.done, step.total)
    raise AssertionError("an import ends with a dataset")


def export_dataset(studio: Studio, arguments: Namespace) -> None:
    if arguments.format == "folder":
        studio.datasets.export_to_folder(arguments.id, arguments.out)
    else:
        format = "folder" if arguments.format == "zip" else arguments.format
        studio.datasets.export_to_file(arguments.id, format, arguments.out)
    print(arguments.out)


def edit_tracks(studio: Studio, arguments: Namespace) -> None:
    names = arguments.track or [track.filename for track in studio.datasets.get(arguments.id).audio_files]
    lyrics = None if arguments.lyrics is None else read_lyrics_file(arguments.lyrics)
    if lyrics and lyrics.question:
        print(lyrics.question)
    change = TrackChange(
        filename="",
        caption=lyrics.text if lyrics else None,
        tags=None if arguments.tags is None else split_tags(arguments.tags),
        rights=arguments.rights,
        ending=arguments.ending,
        add_tags=split_tags(arguments.add_tags),
        remove_tags=split_tags(arguments.remove_tags),
        trigger_word=arguments.trigger_word,
    )
    for track in studio.datasets.update_tracks(arguments.id, [replace(change, filename=name) for name in names]):
        print(f"{track.filename}: {', '.join(track.tags)} ({track.rights})")


def clean(studio: Studio, arguments: Namespace) -> None:
    if arguments.undo:
        cleaned = studio.datasets.restore_tracks(arguments.id, arguments.track)
    elif arguments.discard_originals:
        cleaned = studio.datasets.discard_originals(arguments.id, arguments.track)
    else:
        given = {name: getattr(arguments, name) for name in CLEAN if getattr(arguments, name) is not None}
        cleaned = studio.datasets.clean_tracks(arguments.id, arguments.track, CleanSettings(**given))
    for track in cleaned:
        print(f"{track.filename}: {track.error or cleaning_line(track)}", flush=True)


def cleaning_line(track: TrackCleaning) -> str:
    cuts = f"{track.cut_start_sec:.1f} s cut off in front, {track.cut_end_sec:.1f} s behind"
    return f"{cuts}, {track.gain_db:+.1f} dB"


def print_losses(studio: Studio, arguments: Namespace) -> None:
    losses = TrackLosses(())
    with progress_bar("Measuring", "song") as report:
        for state in studio.checks.one_by_one(arguments.id, "lyrics"):
            assert isinstance(state.report, TrackLosses), state
            losses = state.report
            report(state.done, state.total)
    for track in losses.tracks:
        print(f"{track.loss:7.4f}  {track.filename}")
    print(losses.explanation)


def print_sound(studio: Studio, arguments: Namespace) -> None:
    """Print each track as soon as it is measured, above the bar."""
    sound = SoundReport(())
    with progress_bar("Listening", "song") as report:
        for state in studio.checks.one_by_one(arguments.id, "sound"):
            assert isinstance(state.report, SoundReport), state
            sound = state.report
            for track in sound.tracks[-1:]:
                tqdm.write(sound_lines(track))
            report(state.done, state.total)
    for kind in sound.lengths:
        to = "more" if kind.to_sec is None else f"{kind.to_sec:g}"
        print(f"{kind.tracks:5} songs of {kind.from_sec:g} to {to} s")


def sound_lines(track: TrackSound) -> str:
    loudness = "quiet" if track.loudness_lufs is None else f"{track.loudness_lufs:5.1f}"
    return "\n    ".join((f"{loudness} LUFS  {track.filename}", *track.warnings))


def print_prompts(studio: Studio, arguments: Namespace) -> None:
    for track in studio.datasets.get(arguments.id).audio_files:
        preview = studio.datasets.preview_prompt(arguments.id, track.filename)
        print(f"{track.filename}: {preview.tags}")
        for window in preview.windows:
            print(f"  {window.start_sec:.1f} to {window.end_sec:.1f} s ({preview.timing})")
            print(indent(window.lyrics, "    "))
        if preview.removed:
            print(f"  Left out: {' / '.join(preview.removed)}")


def propose(studio: Studio, arguments: Namespace) -> None:
    kind = ANALYSES[arguments.what]
    settings = (arguments.model, arguments.language, arguments.separate_vocals, arguments.separator)
    for track in studio.datasets.analyze(arguments.id, kind, *settings, is_local=True):
        print(track.filename, *map(proposal_line, track.proposals), sep="\n    ")
        if track.error:
            print(f"    {track.error}")


def proposal_line(proposal: Proposal) -> str:
    """A tag, or lyrics line by line, each with its confidence where it is sung."""
    about = f"(confidence {proposal.confidence:.2f}, {proposal.status})"
    if proposal.kind != "lyrics":
        return f"{proposal.number}  {proposal.value}  {about}"
    lines = zip(proposal.value.split("\n"), proposal.line_confidences, strict=False)
    text = "".join(f"\n      {'    ' if sure is None else f'{sure:.2f}'}  {line}" for line, sure in lines)
    return f"{proposal.number}  lyrics  {proposal.language}  {about}{text}"


def decide(studio: Studio, arguments: Namespace) -> None:
    status = DECISIONS[arguments.decision]
    if bool(arguments.number) != bool(arguments.track):
        raise InvalidInputError("--track and --number belong together.", "Leave both out for all proposals.")
    if not arguments.track:
        studio.datasets.decide_proposals(arguments.id, status)
    for number in arguments.number:
        studio.datasets.decide_proposal(arguments.id, arguments.track, number, status)


ANALYSES: dict[str, AnalysisKind] = {kind.replace("_", "-"): kind for kind in get_args(AnalysisKind)}
DECISIONS = {"accept": "accepted", "reject": "rejected", "undo": "open"}

ACTIONS = {
    "list": list_datasets,
    "import": import_dataset,
    "export": export_dataset,
    "edit": edit_tracks,
    "clean": clean,
    "losses": print_losses,
    "sound": print_sound,
    "prompts": print_prompts,
    "propose": propose,
    "decide": decide,
}
