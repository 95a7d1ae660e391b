"""Whole datasets on the Dataset tab: importing one from a file, and exporting the selected one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.hub import build_publication
from heartmula_studio.ui.import_progress import import_html, running_import, states, stop_import
from heartmula_studio.ui.offers import clear_sent
from heartmula_studio.ui.page_context import PageContext, comma_separated, user_errors
from heartmula_studio.ui.quiet import QUIET

FORMATS = (("Audio folder (.zip)", "folder"), ("Parquet", "parquet"), ("WebDataset (.tar)", "webdataset"))


def build_import(context: PageContext) -> None:
    studio = context.studio
    with gr.Accordion("Import a dataset", open=FOLDED, elem_classes=["glass"]):
        file = gr.File(
            label="A .zip or .tar of songs, with metadata or lyrics beside them, or a .parquet",
            file_types=[".zip", ".tar", ".gz", ".tgz", ".parquet"],
            height=130,
        )
        name = gr.Textbox(label="Name", placeholder="the name of the file", max_lines=1)
        styles = gr.Textbox(label="Styles", info="Separated by commas.", max_lines=1)
        with gr.Row():
            start = gr.Button("Import")
            stop = gr.Button("Stop importing", visible=False)
        report = gr.HTML()
    followed, own, sent = gr.State(""), gr.State(), gr.JSON([], visible=False)
    start.click(partial(start_import, studio), [file, name, styles], [followed, own], show_progress_on=[file],
                api_visibility="private")  # fmt: skip
    gr.on(on_change(context.changes.datasets), partial(running_import, studio, False), followed, followed, **QUIET)
    ended = followed.change(
        partial(follow, studio), [followed, own], [report, stop, context.dataset_id, file, sent], **QUIET
    )
    stop.click(partial(stop_import, studio), followed, **QUIET)
    clear_sent(ended, sent, [name, styles])


def build_export(context: PageContext) -> None:
    download = gr.DownloadButton(visible=False)
    with gr.Accordion("Export this dataset", open=FOLDED, elem_classes=["glass"], visible=False) as panel:
        gr.HTML('<p class="hint">Songs with their lyrics, tags and rights, as one file.</p>')
        format = gr.Dropdown(FORMATS, value="folder", label="Format", interactive=True)
        export = gr.Button("Export")
        build_publication(context.studio.hub.push_dataset, context.dataset_id)
    context.dataset_id.change(lambda id: gr.update(visible=bool(id)), context.dataset_id, panel, **QUIET)
    packed = export.click(
        lambda id, format: exported(context.studio, id, format), [context.dataset_id, format], download,
        show_progress_on=[panel], api_visibility="private",
    )  # fmt: skip
    packed.success(None, download, js=SAVE_FILE, api_visibility="private")


@dataclass(frozen=True)
class OwnImport:
    """What a page has begun to import: its id, the uploaded file, and what the fields of the form held."""

    id: str
    path: Path
    fields: tuple[str, str]


def start_import(studio: Studio, file: str | None, name: str, styles: str) -> tuple[str, OwnImport]:
    """Begin to import an uploaded file, which stays until all is there."""
    if not file:
        raise gr.Error("Choose a file first.", title="No file", print_exception=False)
    path = Path(file)
    with user_errors():
        id = studio.imports.start(path, path.name, name, comma_separated(styles)).id
    return id, OwnImport(id, path, (name, styles))


async def follow(studio: Studio, id: str, own: OwnImport | None) -> AsyncIterator[tuple]:
    """Yield how far an import is, and the button that stops it; at last a report, the dataset, and an empty form."""
    async for task in states(studio, id):
        stays: tuple[Any, Any, list[str]] = (gr.skip(), gr.skip(), [])
        if own is not None and own.id == id and task.status == "completed":
            own.path.unlink(missing_ok=True)
            stays = task.dataset_id, None, list(own.fields)
        yield import_html(task), gr.update(visible=task.status == "running"), *stays


def exported(studio: Studio, id: str, format: str) -> str:
    """The selected dataset as one file, where a browser can fetch it."""
    with user_errors():
        return served_stream(*studio.datasets.export(id, format))["path"]
