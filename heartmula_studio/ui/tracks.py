"""The tracks of the selected dataset: upload, tokenizing, and what else stands above their table."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr

from heartmula_studio.errors import StudioError
from heartmula_studio.files.public_text import public
from heartmula_studio.files.wording import counted
from heartmula_studio.lyrics.checking import LYRICS_SUFFIXES
from heartmula_studio.lyrics.decoding import read_lyrics_file
from heartmula_studio.store.records import Dataset
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.checks import CheckButtons, build_checks
from heartmula_studio.ui.page_context import PageContext, find_dataset, user_errors
from heartmula_studio.ui.proposals import build_proposals
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.track_table import build_track_table

FIRST_STEP = "Give your style a name, then drop at least five songs. Or try it with the six example clips."
CHOOSE = "Open one of your datasets, or make a new one."


def build_tracks(context: PageContext) -> None:
    studio, dataset_id = context.studio, context.dataset_id
    reported = gr.State("")
    with gr.Column(elem_classes=["glass"]):
        heading = gr.HTML()
        with gr.Column(visible=False) as panel:
            drop = gr.File(
                label="Drop recordings (MP3, WAV, FLAC, OGG, AIFF, CAF, M4A) and their lyrics (.txt, .lrc, .ttml)",
                file_count="multiple", height=150,
            )  # fmt: skip
            report = gr.HTML(elem_classes=["announced"])
            with gr.Row(elem_classes=["actions"]):
                tokenize = gr.Button("Prepare now (tokenize)", min_width=140)
                checks = CheckButtons.build()
                train = gr.Button("Train on these songs", variant="primary", min_width=140)
            build_proposals(context)
            status = gr.HTML()
            build_checks(context, checks)
        build_track_table(context)
    gr.on(
        on_change(context.changes.datasets, dataset_id), partial(overview, studio), dataset_id,
        outputs=[heading, panel, status, checks.lyrics, train], **QUIET,
    )  # fmt: skip
    uploaded = drop.upload(
        partial(upload, studio), [dataset_id, drop], [report, reported], concurrency_limit=None, **QUIET
    )
    uploaded.then(lambda: None, outputs=drop, **QUIET)
    dataset_id.change(reset_for, [dataset_id, reported], report, **QUIET)
    tokenize.click(lambda id: start_tokenizing(studio, id), dataset_id, **QUIET)
    context.open_tab_on(train.click, "training")


def overview(studio: Studio, id: str) -> tuple:
    """Return heading, panel, state of tokenizing, and the buttons that look for wrong lyrics and lead to Training."""
    dataset = find_dataset(studio, id)
    if dataset is None:
        return nothing_selected(studio), gr.update(visible=False), "", gr.update(), gr.update()
    is_measurable = bool(dataset.audio_files) and all(song.frames is not None for song in dataset.audio_files)
    is_enough = len(dataset.audio_files) >= dataset.minimum_files
    return (
        dataset_heading(dataset),
        gr.update(visible=True),
        tokenizing_status(dataset),
        gr.update(interactive=is_measurable),
        gr.update(interactive=is_enough),
    )


def nothing_selected(studio: Studio) -> str:
    """Return HTML: what to do first."""
    if studio.datasets.records():
        return html.empty("📦", "No dataset selected", CHOOSE)
    return html.empty("🎼", "No datasets yet", FIRST_STEP)


def dataset_heading(dataset: Dataset) -> str:
    count, needed = len(dataset.audio_files), dataset.minimum_files
    title = f'<h2 dir="auto">{html.escape(dataset.name)}</h2>'
    is_enough = count >= needed
    files = f'<span class="hint">{counted(count, "file")}</span>' if is_enough else ""
    bar = "" if is_enough else html.progress(100 * count / needed, f"{count} of {counted(needed, 'file')}")
    texts = "".join(html.notice("info", f"The lyrics “{stem}” have no song yet.") for stem in dataset.waiting_texts)
    return f"{title}<p>{html.badge(dataset.status)} {files}</p>{bar}{texts}"


def tokenizing_status(dataset: Dataset) -> str:
    """Return HTML: how many songs are tokenized; training tokenizes the rest."""
    done, total = sum(song.frames is not None for song in dataset.audio_files), len(dataset.audio_files)
    if not total or done == total:
        return html.notice("success", "All songs are prepared (tokenized).") if total else ""
    if dataset.status == "processing":
        return html.progress(100 * done / total, f"{done} of {counted(total, 'song')} prepared")
    return '<p class="hint">The songs are prepared (tokenized) when training starts; there is nothing else to do.</p>'


def reset_for(id: str, reported: str) -> object:
    """Clear the report on another dataset. On a busy server this comes late, when files may be uploaded already."""
    return gr.skip() if id == reported else ""


def upload(studio: Studio, id: str, files: list[str]) -> Iterator[tuple[str, str]]:
    """Add uploaded files one by one; yield progress with a line for each refused one, and the dataset's id.

    Lyrics whose encoding was guessed are shown, for a person alone can tell whether they are right.
    """
    refused: list[str] = []
    questions: list[str] = []
    songs_first = sorted(map(Path, files), key=lambda path: path.suffix.lower() == ".txt")
    for done, path in enumerate(songs_first):
        progress = html.progress(100 * done / len(files), f"{done} of {counted(len(files), 'file')}: {path.name}")
        yield progress + html.lines("error", refused), id
        try:
            studio.datasets.add_file(id, path)
            questions += lyrics_question(path)
        except StudioError as error:
            refused.append(f"{path.name}: {public(str(error))}")
        finally:
            path.unlink(missing_ok=True)
    yield upload_report(len(files) - len(refused), refused) + html.lines("warning", questions), id


def lyrics_question(path: Path) -> list[str]:
    """What to ask of a file of lyrics that was taken in, if anything."""
    is_text = path.suffix.lower() in LYRICS_SUFFIXES
    question = read_lyrics_file(path).question if is_text else ""
    return [f"{path.name}: {question}"] if question else []


def upload_report(added: int, refused: list[str]) -> str:
    accepted = html.notice("success", f"{counted(added, 'file')} added.") if added else ""
    were = "was" if len(refused) == 1 else "were"
    rejected = html.notice("warning", f"{counted(len(refused), 'file')} {were} refused.") if refused else ""
    return accepted + rejected + html.lines("error", refused)


def start_tokenizing(studio: Studio, id: str) -> None:
    with user_errors():
        studio.datasets.preprocess(id)
