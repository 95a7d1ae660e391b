"""Several styles at once, each with its strength, and with that of its attention and MLP layers apart; or saved as one.

The number of rows is fixed: a row that is drawn anew would lose what was set there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import gradio as gr

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.merge_settings import MergeSettings
from heartmula_studio.generate.strength import MAX_STRENGTH
from heartmula_studio.store.records import StyleChoice
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.offers import clear_sent
from heartmula_studio.ui.page_context import PageContext, comma_separated, user_errors
from heartmula_studio.ui.quiet import AS_SENT, QUIET

NUM_ROWS = 4
STEP = 0.05
COMBINATIONS = (
    ("Exact sum: their ranks add up", "cat"),
    ("Sum, as close as the rank allows (SVD)", "svd"),
    ("TIES: thinned out, with conflicts settled", "ties_svd"),
    ("DARE: thinned out at random", "dare_linear_svd"),
    ("DARE and TIES", "dare_ties_svd"),
)
MERGE_DEFAULTS = MergeSettings()
APART_INFO = "A style changes two kinds of layers; 0 switches it off in one of them."


@dataclass(frozen=True)
class StrengthFields:
    """A strength, and whether attention and MLP layers have one of their own."""

    overall: gr.Slider
    apart: gr.Checkbox
    attention: gr.Slider
    mlp: gr.Slider

    @property
    def all(self) -> list[gr.components.Component]:
        return list(vars(self).values())


def build_strength(label: str, info: str | None = None) -> StrengthFields:
    overall = gr.Slider(0, MAX_STRENGTH, 1, step=STEP, label=label, info=info, interactive=True)
    apart = gr.Checkbox(False, label="Attention and MLP layers separately", info=APART_INFO)
    with gr.Row(visible=False) as parts:
        attention, mlp = (
            gr.Slider(0, MAX_STRENGTH, 1, step=STEP, label=label, interactive=True, min_width=140)
            for label in ("Attention strength", "MLP strength")
        )
    apart.change(lambda ticked: gr.update(visible=ticked), apart, parts, **QUIET)
    return StrengthFields(overall, apart, attention, mlp)


def choice_of(id: str, overall: float, apart: bool, attention: float, mlp: float) -> StyleChoice:
    """Return a style with what `StrengthFields.all` hold."""
    return StyleChoice(id, overall, attention, mlp) if apart else StyleChoice(id, overall)


def build_mixing(context: PageContext) -> None:
    studio = context.studio
    with gr.Accordion("Mix styles", open=FOLDED, visible=False) as panel:
        chosen = gr.Dropdown([], multiselect=True, max_choices=NUM_ROWS, label="Styles to mix", info="LoRA styles.")
        rows, fields = [], []
        for _ in range(NUM_ROWS):
            with gr.Column(visible=False, elem_classes=["field-group"]) as row:
                fields.append(build_strength("Strength"))
            rows.append(row)
        start = gr.Button("Make songs with this mix", variant="primary")
        values = [chosen, *chain.from_iterable(row.all for row in fields)]
        _build_merging(context, values)
    overall = [row.overall for row in fields]
    chosen.change(partial(shown_rows, studio), chosen, [*rows, *overall], **AS_SENT)
    gr.on(on_change(context.changes.checkpoints), partial(mixable, studio), chosen, [panel, chosen], **AS_SENT)
    start.click(partial(mix, studio), values, **AS_SENT)


def _build_merging(context: PageContext, mixed: Sequence[gr.components.Component]) -> None:
    """Build the fields that save a mix as a style; `mixed` are those of the mix."""
    with gr.Accordion("Save this mix as a style", open=FOLDED):
        name = gr.Textbox(label="Name of the new style", placeholder="Night fado", max_lines=1)
        styles = gr.Textbox(label="Its styles", placeholder="those of its parents", info="Separated by commas.")
        combination = gr.Dropdown(
            list(COMBINATIONS), value=MERGE_DEFAULTS.combination, label="Merged by", interactive=True
        )
        rank = gr.Number(None, label="Rank", placeholder="the largest of its parents'", precision=0, visible=False)
        density = gr.Slider(
            0.01, 0.99, MERGE_DEFAULTS.density, step=0.01, label="Share of values kept (density)", visible=False,
            interactive=True,
        )  # fmt: skip
        save = gr.Button("Save as a new style")
        sent = gr.JSON(visible=False)
    combination.change(shown_settings, combination, [rank, density], **QUIET)
    saved = save.click(
        partial(save_mix, context.studio), [name, styles, combination, rank, density, *mixed], sent,
        show_progress_on=[save], api_visibility="private", preprocess=False,
    )  # fmt: skip
    clear_sent(saved, sent, [name, styles])


def shown_rows(studio: Studio, ids: Sequence[str]) -> list[dict]:
    """Return updates of all rows, and of their first sliders, which say whose they are."""
    names = {style.id: style.name for style in studio.checkpoints.list()}
    shown = [names.get(id) for id in ids] + [None] * (NUM_ROWS - len(ids))
    return [gr.update(visible=name is not None) for name in shown] + [
        gr.update(label=f"Strength of {name}") if name else gr.skip() for name in shown
    ]


def mixable(studio: Studio, chosen: Sequence[str]) -> tuple[dict, dict]:
    """Return the panel, shown where there are two styles to mix, and the choices; what is chosen stays."""
    styles = [style for style in studio.checkpoints.list() if style.method == "lora"]
    ids = [style.id for style in styles]
    left = [id for id in chosen if id in ids]
    choices: dict = gr.update(choices=[(style.name, style.id) for style in styles])
    if len(left) < len(chosen):  # not sent in vain: one may just have been added
        choices["value"] = left
    return gr.update(visible=len(styles) > 1), choices


def shown_settings(combination: str) -> tuple[dict, dict]:
    """Return updates of rank and density: shown for the combinations that have them."""
    return gr.update(visible=combination != "cat"), gr.update(visible=combination not in ("cat", "svd"))


def mix(studio: Studio, *mixed: Any) -> None:
    """Make every song from now on in these styles; `mixed` are their ids, and the values of all rows."""
    with user_errors():
        studio.checkpoints.activate_mix(_choices(*mixed))
    gr.Info("Every song from now on has this mix.", title="Activated")


def save_mix(
    studio: Studio, name: str, styles: str, combination: str, rank: int | None, density: float, *mixed: Any
) -> list[str]:
    """Save a mix as a style; return what its name and styles held. `mixed` as in `mix`."""
    with user_errors():
        merged = studio.checkpoints.merge(
            name, _choices(*mixed), comma_separated(styles), combination=combination, rank=rank, density=density
        )
    for warning in merged.warnings:
        gr.Warning(html.escape(warning), title="Saved")
    gr.Info(f"“{html.escape(merged.name)}” is among your styles now.", title="Saved")
    return [name, styles]


def _choices(ids: Sequence[str], *values: Any) -> list[StyleChoice]:
    """Raises InvalidInputError for fewer than two."""
    if len(ids) < 2:
        raise InvalidInputError("A mix needs two styles.", "Choose two or more.")
    size = len(values) // NUM_ROWS
    rows = [values[start : start + size] for start in range(0, len(values), size)]
    return [choice_of(id, *row) for id, row in zip(ids, rows, strict=False)]
