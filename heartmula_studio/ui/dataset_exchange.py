"""Whole datasets on the Dataset tab: importing one from a file, and exporting the selected one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import NotFoundError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.hub import build_publication, taken_report
from heartmula_studio.ui.offers import clear_sent
from heartmula_studio.ui.page_context import PageContext, comma_separated, user_errors
from heartmula_studio.ui.quiet import QUIET

FORMATS = (("Audio folder (.zip)", "folder"), ("Parquet", "parquet"), ("WebDataset (.tar)", "webdataset"))
POLL_SEC = 0.5
STOPPED = html.notice("info", "Stopped. Nothing was imported.")


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
    gr.on(on_change(context.changes.datasets), partial(running_import, studio), followed, followed, **QUIET)
    ended = followed.change(
        partial(follow, studio), [followed, own], [report, stop, context.dataset_id, file, sent], **QUIET
    )
    stop.click(partial(stop_import, studio), followed, **QUIET)
    clear_sent(ended, sent, [name, styles])
    context.refresh_after(ended)


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


def running_import(studio: Studio, followed: str) -> Any:
    """Return the id of an import that goes on, where this page shows none: it was begun before the page was opened."""
    running = [task.id for task in studio.imports.list() if task.status == "running"]
    return gr.skip() if followed in running or not running else running[0]


async def follow(studio: Studio, id: str, own: OwnImport | None) -> AsyncIterator[tuple]:
    """Yield how far an import is, and the button that stops it; at last a report, the dataset, and an empty form."""
    stays: tuple[Any, Any, list[str]] = (gr.skip(), gr.skip(), [])
    while task := await to_thread.run_sync(find_import, studio, id):
        if task.status != "running":
            is_own = own is not None and own.id == id and task.status == "completed"
            if own is not None and is_own:
                own.path.unlink(missing_ok=True)
                stays = task.dataset_id, None, list(own.fields)
            yield import_report(task), gr.update(visible=False), *stays
            return
        yield import_progress(task), gr.update(visible=True), *stays
        await asyncio.sleep(POLL_SEC)
    yield "", gr.update(visible=False), *stays


def find_import(studio: Studio, id: str) -> ImportTask | None:
    try:
        return studio.imports.get(id)
    except NotFoundError:
        return None


def stop_import(studio: Studio, id: str) -> None:
    with user_errors():
        studio.imports.cancel(id)


def import_progress(task: ImportTask) -> str:
    """Return HTML; how many songs a file holds is known once it is unpacked."""
    if not task.track:
        return f'<p class="hint" dir="auto">{html.escape(task.name)} is being opened.</p>'
    return html.progress(task.progress, f"{task.done} of {counted(task.total, 'song')}. {task.track}")


def import_report(task: ImportTask) -> str:
    """Return HTML: what has come in, or why nothing has."""
    if task.error:
        return html.notice("error", task.error.message, task.error.hint)
    if task.status == "cancelled":
        return STOPPED
    return taken_report(task.name, task.done, task.skipped)


def exported(studio: Studio, id: str, format: str) -> str:
    """The selected dataset as one file, where a browser can fetch it."""
    with user_errors():
        return served_stream(*studio.datasets.export(id, format))["path"]
