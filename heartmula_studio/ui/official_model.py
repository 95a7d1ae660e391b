"""The official models on the Models tab: what they are, and their download by one press."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import gradio as gr

from heartmula_studio.files.public_text import public
from heartmula_studio.store.views import ModelState
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, keyed, user_errors
from heartmula_studio.ui.quiet import QUIET, render_list

DOWNLOAD, RESUME, STOP, VERIFY, REMOVE = "Download", "Resume the download", "Stop", "Verify", "Remove"


def build_official_models(context: PageContext) -> None:
    gr.HTML("<h2>Official models</h2>")

    @render_list(None, on_change(context.changes.models))
    def draw() -> None:
        with gr.Row(elem_classes=["cards", "narrow"]):
            for model in context.studio.models.list():
                with gr.Column(elem_classes=["card"], min_width=0):
                    build_model(context.studio, model)


def build_model(studio: Studio, model: ModelState) -> None:
    gr.HTML(model_html(model))
    with gr.Row():
        for label in actions_for(model):
            variant: Literal["stop", "secondary"] = "stop" if label == REMOVE else "secondary"
            button = gr.Button(label, variant=variant, min_width=100, **keyed(f"{label} {model.name}"))
            button.click(partial(act, studio, label, model.name), key=button.key, **QUIET)


def actions_for(model: ModelState) -> list[str]:
    """Return the labels of the buttons that there are for a model."""
    if model.status in ("downloading", "verifying"):
        return [STOP]
    return {"absent": [DOWNLOAD], "incomplete": [RESUME, REMOVE], "complete": [VERIFY, REMOVE]}[model.status]


def act(studio: Studio, label: str, name: str) -> None:
    """Do what a button says."""
    models = studio.models
    actions: dict[str, Callable[[str], object]] = {
        DOWNLOAD: models.download, RESUME: models.download,
        STOP: models.cancel, VERIFY: models.verify, REMOVE: models.remove,
    }  # fmt: skip
    with user_errors():
        actions[label](name)


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
