"""The songs of the selected dataset: dropping files in, how far they are, and the rows of them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr

from heartmula_studio.errors import StudioError
from heartmula_studio.files.public_text import public
from heartmula_studio.store.records import Dataset
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import moved
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.shared import Shared, explained
from heartmula_studio.ui.song_rows import build_song_rows, find_dataset

CHOOSE = "Choose one on the left, or make a new one."


def build_songs(shared: Shared) -> None:
    studio, dataset_id = shared.studio, shared.dataset_id
    reported = gr.State("")
    with gr.Column(elem_classes=["glass"]):
        heading = gr.HTML()
        with gr.Column(visible=False) as panel:
            drop = gr.File(
                label="Drop MP3, WAV or FLAC files, and .txt or .lrc files with their lyrics",
                file_count="multiple", height=150,
            )  # fmt: skip
            report = gr.HTML()
            with gr.Row():
                tokenize = gr.Button("Tokenize now", min_width=140)
                train = gr.Button("Train on these songs", variant="primary", min_width=140)
            status = gr.HTML()
        start = build_song_rows(shared)
    gr.on(
        moved(shared.changes.datasets, dataset_id), partial(overview, studio), dataset_id,
        outputs=[heading, panel, status, train], **QUIET,
    )  # fmt: skip
    taken = drop.upload(
        partial(take_in, studio), [dataset_id, drop], [report, reported], concurrency_limit=None, **QUIET
    )
    shared.refresh(taken.then(lambda: None, outputs=drop, **QUIET))
    dataset_id.change(begin_anew, [dataset_id, reported], [report, start], **QUIET)
    shared.refresh(tokenize.click(lambda id: start_tokenising(studio, id), dataset_id, **QUIET))
    shared.show(train.click(lambda: None, **QUIET), "training")


def overview(studio: Studio, id: str) -> tuple:
    """Heading, the panel's visibility, the state of tokenizing, and the way to training."""
    dataset = find_dataset(studio, id)
    if dataset is None:
        return html.empty("📦", "No dataset selected", CHOOSE), gr.update(visible=False), "", gr.update()
    is_enough = len(dataset.audio_files) >= dataset.minimum_files
    return (
        dataset_heading(dataset),
        gr.update(visible=True),
        tokenizing_status(dataset),
        gr.update(interactive=is_enough),
    )


def dataset_heading(dataset: Dataset) -> str:
    count, needed = len(dataset.audio_files), dataset.minimum_files
    said = f"{count} of {needed} files" if count < needed else f"{count} files"
    title = f'<h2 dir="auto">{html.escape(dataset.name)}</h2>'
    bar = html.progress(100 * count / needed, said) if count < needed else ""
    texts = "".join(html.notice("info", f"The lyrics “{stem}” wait for their song.") for stem in dataset.waiting_texts)
    return f'{title}<p>{html.badge(dataset.status)} <span class="hint">{html.escape(said)}</span></p>{bar}{texts}'


def tokenizing_status(dataset: Dataset) -> str:
    """How many songs the model can read already; training sees to the rest."""
    done, total = sum(song.frames is not None for song in dataset.audio_files), len(dataset.audio_files)
    if not total or done == total:
        return html.notice("success", "All songs are tokenized.") if total else ""
    label = f"{done} of {total} songs tokenized"
    if dataset.status == "processing":
        return html.progress(100 * done / total, label)
    return f'<p class="hint">{label}. Training does the rest by itself.</p>'


def begin_anew(id: str, reported: str) -> tuple:
    """Forget what was said of another dataset. A busy server hears of a change late, when files may be in already."""
    return gr.skip() if id == reported else "", 0


def take_in(studio: Studio, id: str, files: list[str]) -> Iterator[tuple[str, str]]:
    """Add uploaded files one by one; yield how far it is with a line for each refused one, and the dataset's id."""
    refused: list[str] = []
    for done, path in enumerate(map(Path, files)):
        progress = html.progress(100 * done / len(files), f"{done} of {len(files)} files: {path.name}")
        yield progress + html.lines("error", refused), id
        try:
            studio.datasets.add_file(id, path)
        except StudioError as error:
            refused.append(f"{path.name}: {public(str(error))}")
        finally:
            path.unlink(missing_ok=True)
    yield taken_in(len(files) - len(refused), refused), id


def taken_in(added: int, refused: list[str]) -> str:
    good = html.notice("success", f"{added} files added.") if added else ""
    bad = html.notice("warning", f"{len(refused)} files were refused.") if refused else ""
    return good + bad + html.lines("error", refused)


def start_tokenising(studio: Studio, id: str) -> None:
    with explained():
        studio.datasets.preprocess(id)
