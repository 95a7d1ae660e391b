"""📦 Dataset: datasets as cards, and the tracks of the selected one."""

from contextlib import suppress
from functools import partial

import gradio as gr

from heartmula_studio.errors import NotFoundError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.records import Dataset
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.dataset_exchange import build_export, build_import
from heartmula_studio.ui.hub import build_on_hub
from heartmula_studio.ui.offers import clear_sent
from heartmula_studio.ui.page_context import PageContext, comma_separated, find_dataset, keyed, user_errors
from heartmula_studio.ui.quiet import QUIET, render_list
from heartmula_studio.ui.tracks import build_tracks


def build_dataset(context: PageContext) -> None:
    editing, deleting = gr.State(""), gr.State("")
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            _build_creation(context)
            _build_editing(context, editing)
            _build_deletion(context, deleting)
            _build_cards(context, editing, deleting)
        with gr.Column(scale=5, min_width=320):
            build_tracks(context)
            build_export(context)
            build_import(context)
            build_on_hub(context, "dataset")


def _build_creation(context: PageContext) -> None:
    with gr.Column(elem_classes=["glass"]):
        gr.HTML("<h2>New dataset</h2>")
        name = gr.Textbox(label="Name", placeholder="Lagos nights", max_lines=1)
        styles = gr.Textbox(label="Styles", placeholder="Afrobeat, Highlife", info="Separated by commas.", max_lines=1)
        create = gr.Button("Create dataset", variant="primary")
        examples = gr.Button("Try it with six example clips")
    sent = gr.JSON(visible=False)
    created = gr.on(
        [create.click, name.submit, styles.submit],
        lambda name, styles: create_dataset(context.studio, name, styles),
        [name, styles],
        [context.dataset_id, sent],
        **QUIET,
    )
    clear_sent(created, sent, [name, styles])
    # One main action at a time: where a dataset is open, that is to train on it.
    gr.on(
        on_change(context.changes.datasets, context.dataset_id), partial(create_button, context.studio),
        context.dataset_id, create, **QUIET,
    )  # fmt: skip
    examples.click(lambda: create_examples(context.studio), outputs=context.dataset_id, **QUIET)


def _build_editing(context: PageContext, editing: gr.State) -> None:
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        gr.HTML("<h2>✏️ Name and styles</h2>")
        name, styles = gr.Textbox(label="Name", max_lines=1), gr.Textbox(label="Styles", max_lines=1)
        with gr.Row():
            save = gr.Button("Save", variant="primary", size="sm")
            close = gr.Button("Close", size="sm")
    editing.change(lambda id: edit_form(context.studio, id), editing, [panel, name, styles], **QUIET)
    gr.on(
        [save.click, name.submit, styles.submit],
        lambda *values: save_dataset(context.studio, *values),
        [editing, name, styles],
        editing,
        **QUIET,
    )
    close.click(lambda: "", outputs=editing, **QUIET)


def _build_deletion(context: PageContext, deleting: gr.State) -> None:
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        warning = gr.HTML()
        with gr.Row():
            confirm = gr.Button("Delete it", variant="stop", size="sm")
            keep = gr.Button("Keep it", size="sm")
    deleting.change(lambda id: deletion_warning(context.studio, id), deleting, [panel, warning], **QUIET)
    confirm.click(lambda id: delete_dataset(context.studio, id), deleting, deleting, **QUIET)
    keep.click(lambda: "", outputs=deleting, **QUIET)


def _build_cards(context: PageContext, editing: gr.State, deleting: gr.State) -> None:
    @render_list([context.dataset_id], on_change(context.changes.datasets, context.dataset_id))
    def _(chosen: str) -> None:
        with gr.Column(elem_classes=["cards"]):
            for dataset in reversed(context.studio.datasets.list()):
                _build_card(context, dataset, dataset.id == chosen, editing, deleting)


def _build_card(context: PageContext, dataset: Dataset, is_chosen: bool, editing: gr.State, deleting: gr.State) -> None:
    with gr.Column(elem_classes=["card", "selected"] if is_chosen else ["card"]):
        lines = [", ".join(dataset.styles), count_line(dataset), html.when(dataset.created_at)]
        gr.HTML(html.card(dataset.name, [html.badge(dataset.status)], lines))
        with gr.Row():
            words = "Selected" if is_chosen else "Open"
            choose = gr.Button(words, size="sm", min_width=80, **keyed(f"open {dataset.id}"))
            with gr.Row(elem_classes=["card-actions"]):
                edit = gr.Button("✏️ Edit", size="sm", min_width=70, **keyed(f"edit {dataset.id}"))
                delete = gr.Button("🗑️ Delete", size="sm", min_width=90, **keyed(f"delete {dataset.id}"))
    for button, target in ((choose, context.dataset_id), (edit, editing), (delete, deleting)):
        button.click(lambda: dataset.id, outputs=target, key=button.key, **QUIET)


def count_line(dataset: Dataset) -> str:
    """ "3 of 5 files" until there are enough, then how many and how long they are."""
    count = len(dataset.audio_files)
    if count < dataset.minimum_files:
        return f"{count} of {counted(dataset.minimum_files, 'file')}"
    return f"{counted(count, 'file')} · {html.duration(sum(song.duration_sec for song in dataset.audio_files))}"


def create_button(studio: Studio, id: str) -> dict:
    return gr.update(variant="secondary" if find_dataset(studio, id) else "primary")


def create_dataset(studio: Studio, name: str, styles: str) -> tuple[str, list[str]]:
    """Create an empty dataset; return its id, and what the fields held."""
    with user_errors():
        return studio.datasets.create(name, comma_separated(styles)).id, [name, styles]


def create_examples(studio: Studio) -> str:
    with user_errors():
        return studio.datasets.create_examples().id


def edit_form(studio: Studio, id: str) -> tuple:
    """Return the panel with a dataset's name and styles; hidden without a dataset."""
    dataset = find_dataset(studio, id)
    if dataset is None:
        return gr.update(visible=False), "", ""
    return gr.update(visible=True), dataset.name, ", ".join(dataset.styles)


def save_dataset(studio: Studio, id: str, name: str, styles: str) -> str:
    with user_errors():
        studio.datasets.update(id, name, comma_separated(styles))
    return ""


def deletion_warning(studio: Studio, id: str) -> tuple:
    """Return the panel that asks before a dataset is deleted, and what would be lost."""
    dataset = find_dataset(studio, id)
    if dataset is None:
        return gr.update(visible=False), ""
    songs, num_bytes = len(dataset.audio_files), sum(song.size_bytes for song in dataset.audio_files)
    what = f"{counted(songs, 'song')} ({html.size(num_bytes)}), with lyrics and tokens"
    text = f"This deletes {what}. Trained styles, and songs made with them, stay."
    return gr.update(visible=True), html.notice("warning", f"Delete “{dataset.name}”?", text)


def delete_dataset(studio: Studio, id: str) -> str:
    """Nothing is wrong where another page was quicker."""
    with user_errors(), suppress(NotFoundError):
        studio.datasets.delete(id)
    return ""
