"""The tracks of the selected dataset, in a table that the browser fills from REST and saves there."""

import json

import gradio as gr

from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import fingerprint, on_change
from heartmula_studio.ui.page_context import PageContext, find_dataset
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.scripts import read_script

SCRIPTS = ("rest.js", "track_row.js", "track_tools.js", "track_cleaning.js", "track_pages.js", "track_table.js")


def build_track_table(context: PageContext) -> None:
    """Build the component: one for all tracks, because Gradio's own code goes through all components at each event."""
    table = gr.HTML("", html_template="", js_on_load=read_script(*SCRIPTS), apply_default_css=False)
    gr.on(
        on_change(context.changes.tracks, context.dataset_id),
        lambda id: table_text(context.studio, id), context.dataset_id, table, **QUIET,
    )  # fmt: skip
    context.changes.look_at(context.studio, table.changed)


def table_text(studio: Studio, id: str) -> str:
    """Return which dataset to show, with a stamp that changes as it does, for `track_table.js`; "" for none."""
    dataset = find_dataset(studio, id)
    return json.dumps({"dataset": dataset.id, "stamp": fingerprint([dataset])}) if dataset else ""
