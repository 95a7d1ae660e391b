"""The official models on the Models tab: what they are, and their download by one press."""

from collections.abc import Callable
from functools import partial

import gradio as gr

from heartmula_studio.arch.official import OFFICIAL_MODELS
from heartmula_studio.files.public_text import public
from heartmula_studio.store.views import ModelState
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import QUIET

DOWNLOAD = {"absent": "Download", "incomplete": "Resume the download"}


def build_official_models(context: PageContext) -> None:
    gr.HTML("<h2>Official models</h2>")
    with gr.Row(elem_classes=["cards", "narrow"]):
        for model in OFFICIAL_MODELS:
            with gr.Column(elem_classes=["card"], min_width=0):
                build_model(context, model.name)


def build_model(context: PageContext, name: str) -> None:
    studio = context.studio
    shown = gr.HTML()
    with gr.Row():
        download = gr.Button("Download", min_width=100)
        cancel = gr.Button("Stop", min_width=100)
        verify = gr.Button("Verify", min_width=100)
        remove = gr.Button("Remove", variant="stop", min_width=100)
    models = studio.models
    for button, action in ((download, models.download), (cancel, models.cancel), (verify, models.verify)):
        context.refresh_after(button.click(partial(act, action, name), **QUIET))
    context.refresh_after(remove.click(partial(act, models.remove, name), **QUIET))
    gr.on(
        on_change(context.changes.models),
        partial(model_panel, studio, name),
        outputs=[shown, download, cancel, verify, remove],
        **QUIET,
    )


def act(action: Callable[[str], object], name: str) -> None:
    with user_errors():
        action(name)


def model_panel(studio: Studio, name: str) -> tuple:
    """Return the model as HTML, and which buttons there are for it."""
    model = studio.models.get(name)
    is_busy = model.status in ("downloading", "verifying")
    is_begun = model.status in ("incomplete", "complete")
    return (
        model_html(model),
        gr.update(visible=model.status in DOWNLOAD, value=DOWNLOAD.get(model.status, "Download")),
        gr.update(visible=is_busy),
        gr.update(visible=model.status == "complete"),
        gr.update(visible=is_begun),
    )


def model_html(model: ModelState) -> str:
    """Return what a model is, what is here of it, and what went wrong last."""
    name = f"<h3>{html.escape(model.name)}</h3>"
    about = f"{html.escape(model.title)}. Licence: {html.escape(model.licence)}. {html.size(model.size_bytes)}."
    percent = 100 * model.done_bytes / model.size_bytes if model.size_bytes else 0.0
    state = f"{model.status.capitalize()}: {html.size(model.done_bytes)}, {percent:.0f} %. {html.escape(model.message)}"
    if model.status == "absent" and not model.done_bytes:
        state = f"Not downloaded. {html.escape(model.message)}"
    free = f"{html.size(model.free_disk_bytes)} are free on its disk."
    lines = name + "".join(f'<p class="hint">{line}</p>' for line in (about, state, free))
    if model.error is None:
        return lines
    return lines + html.notice("warning", public(model.error.message), public(model.error.hint))
