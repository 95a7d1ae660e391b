"""Whole datasets on the Dataset tab: importing one from a file, and exporting the selected one."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr

from heartmula_studio.files.wording import counted
from heartmula_studio.store.views import ImportedDataset
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.hub import build_publication, import_report
from heartmula_studio.ui.offers import clear_sent
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import QUIET

FORMATS = (("Audio folder (.zip)", "folder"), ("Parquet", "parquet"), ("WebDataset (.tar)", "webdataset"))
STOPPED = html.notice("info", "Stopped. Nothing was imported.")


def build_import(context: PageContext) -> None:
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
    sent = gr.JSON(visible=False)
    imported = start.click(
        partial(import_dataset, context.studio), [file, name, styles],
        [context.dataset_id, report, file, sent, stop], show_progress_on=[file], api_visibility="private",
    )  # fmt: skip
    stop.click(lambda: (STOPPED, gr.update(visible=False)), outputs=[report, stop], cancels=[imported], **QUIET)
    clear_sent(imported, sent, [name, styles])
    context.refresh_after(imported)


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


def import_dataset(studio: Studio, file: str | None, name: str, styles: str) -> Iterator[tuple]:
    """Import an uploaded file; yield how far it is, and at last the new dataset's id, the report, and no file.

    The fourth of each is what the other fields held once it is done, the fifth the button that stops it.
    """
    if not file:
        raise gr.Error("Choose a file first.", title="No file", print_exception=False)
    path = Path(file)
    with user_errors():
        steps = studio.datasets.import_upload_one_by_one(path, path.name, name, styles.split(","))
        for number, step in enumerate(steps, start=1):
            if isinstance(step, ImportedDataset):
                path.unlink(missing_ok=True)
                yield step.id, import_report(step), None, [name, styles], gr.update(visible=False)
            else:
                yield gr.skip(), import_progress(number, step), gr.skip(), gr.skip(), gr.update(visible=True)


def import_progress(number: int, filename: str) -> str:
    """Return HTML; nobody knows beforehand how many songs a file holds."""
    return f'<p class="hint" dir="auto">{counted(number, "song")} so far: {html.escape(filename)}</p>'


def exported(studio: Studio, id: str, format: str) -> str:
    """The selected dataset as one file, where a browser can fetch it."""
    with user_errors():
        return served_stream(*studio.datasets.export(id, format))["path"]
