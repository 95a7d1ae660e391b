"""The top of the page: the name, and the style that songs are made in."""

from functools import partial
from html import escape

import gradio as gr

from heartmula_studio.store.records import Checkpoint
from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.html import badge, notice
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.scripts import read_script

BRAND = """<h1 class="brand">HeartMuLa Training Studio</h1>
<p class="tagline">Five songs in, and every song after carries your style.</p>"""
LOG_OUT = '<form method="post" action="logout"><button class="sm secondary">Log out</button></form>'


def build_header(context: PageContext) -> None:
    with gr.Row(elem_classes=["hero", "glass"]):
        # The scripts are of the whole page, which this is a part of from the start.
        brand = gr.HTML(BRAND, js_on_load=read_script("toasts.js", "changes.js", "keyboard.js"))
        context.changes.look_at(context.studio, brand.changed)
        with gr.Row(elem_classes=["active-style"]):
            style = gr.HTML('<p class="hint">Style …</p>', elem_classes=["announced"])
            off = gr.Button("Switch off", size="sm", visible=False)
            if context.studio.settings.has_token:
                gr.HTML(LOG_OUT)
    if warning := context.studio.health().data_note:
        gr.HTML(notice("warning", warning))
    gr.on(on_change(context.changes.checkpoints), partial(active_style, context.studio), outputs=[style, off], **QUIET)
    off.click(lambda: switch_off(context.studio), **QUIET)


def active_style(studio: Studio) -> tuple[str, dict]:
    """Return the active style as HTML, and the button that switches it off."""
    active = find_all_active(studio)
    if not active:
        return '<p><span class="hint">Style</span> <b>none, the base model</b></p>', gr.update(visible=False)
    named = " + ".join(f'<b dir="auto">{escape(style.name)}</b> × {style.strength:g}' for style in active)
    return f'<p><span class="hint">Style</span> {badge("active")} {named}</p>', gr.update(visible=True)


def find_all_active(studio: Studio) -> list[Checkpoint]:
    """Return the active style, or those of a mix, oldest first."""
    return [checkpoint for checkpoint in studio.checkpoints.list() if checkpoint.is_active]


def find_active(studio: Studio) -> Checkpoint | None:
    """Return the style that is active alone; None for the base, and for a mix."""
    active = find_all_active(studio)
    return active[0] if len(active) == 1 else None


def switch_off(studio: Studio) -> None:
    """Make songs with the base alone; nothing is wrong where another page was quicker."""
    for active in find_all_active(studio):
        with user_errors():
            studio.checkpoints.deactivate(active.id)
