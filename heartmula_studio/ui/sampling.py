"""Sampling in words: buttons that set temperature and top-k."""

from collections.abc import Sequence
from typing import NamedTuple

import gradio as gr

from heartmula_studio.generate.request import SongRequest
from heartmula_studio.ui.quiet import QUIET


class Sampling(NamedTuple):
    """Values of the page's fields that say how codes are drawn; an empty temperature is what suits the base."""

    temperature: str
    topk: int


PRESETS = {
    "Safe": Sampling("0.8", 30),
    "Balanced": Sampling("", SongRequest.topk),
    "Adventurous": Sampling("1.2", 100),
}
HINT = "Safe stays close to what is likely; Adventurous surprises. Each sets the two fields below."


def build_sampling(fields: Sequence[gr.components.Component]) -> None:
    """Build a button for each preset; `fields` are named and in the order as in `Sampling`."""
    gr.HTML(f'<p class="hint">{HINT}</p>')
    with gr.Row(elem_classes=["chips"]):
        for name, values in PRESETS.items():
            button = gr.Button(name, size="sm", min_width=60, elem_classes=["chip"])
            button.click(lambda values=values: list(values), outputs=list(fields), **QUIET)
    for field in fields:
        field.render()
