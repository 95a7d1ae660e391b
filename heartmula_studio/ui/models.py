"""📦 Models: trained styles as cards, a comparison with the base, and the import of a style."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import InvalidInputError, NotFoundError, StudioError
from heartmula_studio.files.wording import counted
from heartmula_studio.generate.request import SongRequest, new_seed
from heartmula_studio.store.records import UNDER_WAY, Checkpoint, Generation
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.files import SAVE_FILE, served_file, served_stream
from heartmula_studio.ui.header import find_active
from heartmula_studio.ui.hub import build_on_hub, build_style_export
from heartmula_studio.ui.job_view import METHODS
from heartmula_studio.ui.ladder_view import audible_words, copy_words
from heartmula_studio.ui.mixing import StrengthFields, build_strength, choice_of
from heartmula_studio.ui.offers import Offers, clear_sent, offer
from heartmula_studio.ui.official_model import build_official_models
from heartmula_studio.ui.page_context import PageContext, keyed, user_errors
from heartmula_studio.ui.quiet import QUIET, follow_key, render_list
from heartmula_studio.ui.song_slider import song_slider
from heartmula_studio.ui.song_view import song_status
from heartmula_studio.ui.training import start_field

POLL_SEC = 0.5
FIRST_STEP = "Train on five songs or more, or import a style that was trained elsewhere."
RIGHTS = {"own": "own", "licensed": "licensed", "public_domain": "public domain", "unknown": "not stated"}
STRENGTH_INFO = "Of the active style, and of the next one that you activate."


def build_models(context: PageContext) -> None:
    comparing, deleting, exporting = gr.State(""), gr.State(""), gr.State("")
    download = gr.DownloadButton(visible=False)
    _build_deletion(context, deleting)
    _build_comparison(context, comparing)
    build_style_export(context.studio, exporting, download)
    strengths = _build_strength(context)
    _build_cards(context, strengths, comparing, deleting, exporting, download)
    with gr.Row(elem_classes=["panels"]):
        with gr.Column(scale=2, min_width=300, elem_classes=["glass"]):
            _build_import(context)
        with gr.Column(scale=3, min_width=300, elem_classes=["glass"]):
            build_official_models(context)
            build_on_hub(context, "model")


def _build_strength(context: PageContext) -> StrengthFields:
    """Build the fields for all cards. These are redrawn as styles come and go; the fields are not."""
    studio, offers = context.studio, Offers.build()
    with gr.Column(elem_classes=["glass"], visible=False) as panel:
        strengths = build_strength("Strength", STRENGTH_INFO)
        set_it = gr.Button("Set strength", min_width=120)
    offered = gr.on(
        on_change(context.changes.checkpoints),
        partial(strength_panel, studio),
        outputs=[panel, set_it, offers.offered],
        **QUIET,
    )
    offers.fill(offered, strengths.all)
    # The arrow keys move the slider without releasing it, so there is a button, too.
    gr.on(
        [set_it.click, strengths.overall.release], partial(set_strength, studio), strengths.all,
        show_progress_on=[panel], api_visibility="private",
    )  # fmt: skip
    return strengths


def _build_cards(
    context: PageContext,
    strengths: StrengthFields,
    comparing: gr.State,
    deleting: gr.State,
    exporting: gr.State,
    download: gr.DownloadButton,
) -> None:
    @render_list(None, on_change(context.changes.checkpoints))
    def _() -> None:
        checkpoints = context.studio.checkpoints.list()[::-1]
        if not checkpoints:
            with gr.Column(elem_classes=["glass"]):
                gr.HTML(html.empty("📦", "No trained styles yet", FIRST_STEP))
                to_training = gr.Button("Go to Training", variant="primary", **keyed("to training"))
            context.open_tab_on(partial(to_training.click, key=to_training.key), "training")
        with gr.Column(elem_classes=["cards", "wide"]):
            for checkpoint in checkpoints:
                _build_card(context, checkpoint, strengths, comparing, deleting, exporting, download)


def _build_card(
    context: PageContext,
    checkpoint: Checkpoint,
    strengths: StrengthFields,
    comparing: gr.State,
    deleting: gr.State,
    exporting: gr.State,
    download: gr.DownloadButton,
) -> None:
    studio, id, is_active = context.studio, checkpoint.id, checkpoint.is_active
    with gr.Column(elem_classes=["card", "selected"] if is_active else ["card"]):
        text = gr.HTML(checkpoint_card(checkpoint))
        activate_it = gr.Button(
            "Activate", variant="primary", visible=not is_active, min_width=110, **keyed(f"activate {id}")
        )
        deactivate_it = gr.Button("Deactivate", visible=is_active, min_width=110, **keyed(f"deactivate {id}"))
        with gr.Row(elem_classes=["card-actions"]):
            compare = gr.Button("Compare", size="sm", min_width=80, **keyed(f"compare {id}"))
            further = gr.Button("Train further", size="sm", min_width=80, **keyed(f"further {id}"))
            save = gr.Button("Download", size="sm", min_width=80, **keyed(f"download {id}"))
            export = gr.Button("Export…", size="sm", min_width=80, **keyed(f"export {id}"))
            delete = gr.Button("🗑️ Delete", size="sm", min_width=80, interactive=not is_active, **keyed(f"delete {id}"))
        if is_active:
            gr.HTML('<p class="hint">To delete it, deactivate it first.</p>')
    activate_it.click(
        lambda *values: activate(studio, id, *values), strengths.all,
        show_progress_on=[text], api_visibility="private", key=activate_it.key,
    )  # fmt: skip
    deactivate_it.click(lambda: deactivate(studio, id), key=deactivate_it.key, **QUIET)
    compare.click(lambda: id, outputs=comparing, key=compare.key, **QUIET)
    chosen = further.click(lambda: start_field(studio, id), outputs=context.start_from, key=further.key, **QUIET)
    context.open_tab_after(chosen, "training")
    export.click(lambda: id, outputs=exporting, key=export.key, **QUIET)
    delete.click(lambda: id, outputs=deleting, key=delete.key, **QUIET)
    packed = save.click(lambda: zipped_style(studio, id), outputs=download, key=save.key, **QUIET)
    packed.success(None, download, js=SAVE_FILE, api_visibility="private", key=follow_key(packed))


def _build_deletion(context: PageContext, deleting: gr.State) -> None:
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        warning = gr.HTML()
        with gr.Row():
            confirm = gr.Button("Delete it", variant="stop", size="sm")
            keep = gr.Button("Keep it", size="sm")
    deleting.change(lambda id: deletion_warning(context.studio, id), deleting, [panel, warning], **QUIET)
    confirm.click(lambda id: delete(context.studio, id), deleting, deleting, **QUIET)
    keep.click(lambda: "", outputs=deleting, **QUIET)


def _build_comparison(context: PageContext, comparing: gr.State) -> None:
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        heading = gr.HTML()
        tags = gr.Textbox(label="Tags", placeholder="piano, calm, slow", max_lines=1)
        lyrics = gr.Textbox(label="Lyrics", lines=3, max_lines=12, placeholder="Empty for an instrumental")
        with gr.Row():
            duration = song_slider("duration_sec", "Length (seconds)", step=1, min_width=160)
            strength = gr.Slider(0, 2, 1, step=0.05, label="Strength", min_width=160)
            seed = gr.Number(label="Seed", precision=0, min_width=120)
        with gr.Row():
            start = gr.Button("Make both", variant="primary")
            close = gr.Button("Close")
        with gr.Row(visible=False) as players:
            with gr.Column(min_width=260):
                base_status, base = gr.HTML(), gr.Audio(label="Base", interactive=False, buttons=["download"])
            with gr.Column(min_width=260):
                style_status, style = gr.HTML(), gr.Audio(interactive=False, buttons=["download"])
    form = [panel, heading, tags, strength, seed, players]
    fields = [comparing, tags, lyrics, duration, seed, strength]
    shown = [players, base_status, base, style_status, style]
    making = start.click(partial(compare, context.studio), fields, shown, concurrency_limit=None, **QUIET)
    comparing.change(lambda id: comparison_form(context.studio, id), comparing, form, cancels=[making], **QUIET)
    close.click(lambda: "", outputs=comparing, **QUIET)


def _build_import(context: PageContext) -> None:
    gr.HTML("<h2>Import a style</h2>")
    file = gr.File(label="A .zip or .safetensors", file_types=[".zip", ".safetensors"], height=150)
    which = gr.Dropdown(label="Which style", visible=False, interactive=True)
    with gr.Row(elem_classes=["field-row"]):
        name = gr.Textbox(label="Name", placeholder="Night drive", max_lines=1, min_width=160)
        alpha = gr.Textbox(label="LoRA alpha", placeholder="as in the file", max_lines=1, min_width=120)
    styles = gr.Textbox(label="Styles", placeholder="synthwave, slow", info="Separated by commas.", max_lines=1)
    start = gr.Button("Import")
    sent = gr.JSON(visible=False)
    file.change(lambda path: offered_styles(context.studio, path), file, which, **QUIET)
    imported = start.click(
        lambda *values: import_style(context.studio, *values), [file, name, styles, which, alpha], [file, sent],
        show_progress_on=[file], api_visibility="private",
    )  # fmt: skip
    clear_sent(imported, sent, [name, styles])


# --- texts -----------------------------------------------------------------------------------------------------------


def checkpoint_card(checkpoint: Checkpoint) -> str:
    """Return a style as HTML: method, base, size, losses, and the rights of its songs."""
    base = checkpoint.base_model.get("name", "")
    lines = [
        ", ".join(checkpoint.styles),
        " · ".join(filter(None, (METHODS[checkpoint.method], base, html.size(checkpoint.size_bytes)))),
        *figures_lines(checkpoint),
        losses_line(checkpoint),
        rights_line(checkpoint),
        change_line(checkpoint),
        f"Trained further from {checkpoint.parent.name}" if checkpoint.parent else "",
        html.when(checkpoint.created_at),
    ]
    return html.card(checkpoint.name, [html.badge("active")] if checkpoint.is_active else [], lines, level=2)


def figures_lines(checkpoint: Checkpoint) -> list[str]:
    """Whether it can be heard, and what it copies, where that was measured."""
    said = [audible_words(checkpoint.figures), copy_words(checkpoint.figures)]
    return [text for _, text in filter(None, said)]


def losses_line(checkpoint: Checkpoint) -> str:
    losses = checkpoint.losses
    if losses.initial is None or losses.best is None:
        return ""
    return f"Held-out loss: {losses.initial:.4f} → {losses.best:.4f}"


def change_line(checkpoint: Checkpoint) -> str:
    """ "Changes 84 of 115 weights, by 1.2 % of their size"; empty where that was not measured."""
    change = checkpoint.change
    if change is None:
        return ""
    percent = 100 * change.relative_norm
    by = f"{percent:.2g}" if percent < 10 else f"{percent:,.0f}"
    return f"Changes {change.changed} of {change.of} weights, by {by} % of their size"


def rights_line(checkpoint: Checkpoint) -> str:
    """Whose songs it learnt from: "Rights of its 6 songs: 4 own, 2 not stated"."""
    counts = Counter(song.rights for song in checkpoint.rights)
    if not counts:
        return ""
    several = len(counts) > 1
    parts = (f"{count} {RIGHTS[rights]}" if several else RIGHTS[rights] for rights, count in counts.most_common())
    return f"Rights of its {counted(counts.total(), 'song')}: {', '.join(parts)}"


def strength_of(checkpoint: Checkpoint | None) -> float:
    """Return the strength that a style is active with, else 1."""
    return 1.0 if checkpoint is None or checkpoint.strength is None else checkpoint.strength


def strengths_of(checkpoint: Checkpoint | None) -> tuple[float, bool, float, float]:
    """Return the values of `StrengthFields.all` for what a style is active with."""
    overall = strength_of(checkpoint)
    parts = (checkpoint.attention_strength, checkpoint.mlp_strength) if checkpoint else (None, None)
    attention, mlp = (overall if part is None else part for part in parts)
    return overall, parts != (None, None), attention, mlp


def strength_panel(studio: Studio) -> tuple[dict, dict, list[dict]]:
    """Return the panel, shown when there are styles; its button, for one active style; and the strengths in use."""
    active = find_active(studio)
    offered = [offer("strength", *strengths_of(active))]
    return gr.update(visible=bool(studio.checkpoints.list())), gr.update(interactive=active is not None), offered


def find_checkpoint(studio: Studio, id: str) -> Checkpoint | None:
    """Return a style, or None when it was deleted."""
    if not id:
        return None
    try:
        return studio.checkpoints.get(id)
    except NotFoundError:
        return None


# --- actions of the buttons ------------------------------------------------------------------------------------------


def activate(studio: Studio, id: str, overall: float, apart: bool, attention: float, mlp: float) -> None:
    """Activate a style with the values of `StrengthFields.all`."""
    with user_errors():
        studio.checkpoints.activate_mix([choice_of(id, overall, apart, attention, mlp)])


def set_strength(studio: Studio, *strengths: Any) -> None:
    """Set the strengths of the style that is active alone, if there is one."""
    if active := find_active(studio):
        activate(studio, active.id, *strengths)


def deactivate(studio: Studio, id: str) -> None:
    with user_errors():
        studio.checkpoints.deactivate(id)


def deletion_warning(studio: Studio, id: str) -> tuple:
    """Return the panel that asks before a style is deleted, and what would be lost."""
    checkpoint = find_checkpoint(studio, id)
    if checkpoint is None:
        return gr.update(visible=False), ""
    text = f"This frees {html.size(checkpoint.size_bytes)}. Songs that were made with it stay."
    return gr.update(visible=True), html.notice("warning", f"Delete “{checkpoint.name}”?", text)


def delete(studio: Studio, id: str) -> str:
    """Nothing is wrong where another page was quicker."""
    with user_errors(), suppress(NotFoundError):
        studio.checkpoints.delete(id)
    return ""


def zipped_style(studio: Studio, id: str) -> str:
    """Return the style as one .zip, where a browser can fetch it."""
    with user_errors():
        return served_stream(*studio.checkpoints.download(id))["path"]


def offered_styles(studio: Studio, file: str | None) -> dict[str, Any]:
    """Offer the checkpoints in a file where there are several; what cannot be read is said on Import."""
    try:
        names = studio.checkpoints.offered(file) if file else []
    except StudioError:
        names = []
    return gr.update(choices=names, value=names[0] if names else None, visible=len(names) > 1)


def import_style(
    studio: Studio, file: str | None, name: str, styles: str, which: str | None = None, alpha: str = ""
) -> tuple[None, list[str]]:
    """Import a style that was trained elsewhere; return no file, and what the other fields held."""
    if not file:
        raise gr.Error("Choose a file first.", title="No file", print_exception=False)
    with user_errors():
        checkpoint = studio.checkpoints.import_archive(file, name, styles.split(","), None, which, parsed_alpha(alpha))
    if change := change_line(checkpoint):
        gr.Info(f"Imported. {change}.", title="Imported")
    for warning in checkpoint.warnings:
        gr.Warning(escape(warning), title="Imported")
    Path(file).unlink(missing_ok=True)
    return None, [name, styles]


def comparison_form(studio: Studio, id: str) -> tuple:
    """Return the panel with the style's own tags; hidden without a style."""
    checkpoint = find_checkpoint(studio, id)
    if checkpoint is None:
        return gr.update(visible=False), *[gr.skip()] * 5
    title = f'<h2 class="card-title" dir="auto">{html.escape(checkpoint.name)} and the base</h2>'
    hint = '<p class="hint">One song, made twice with the same seed: without the style, and with it.</p>'
    tags, strength = ", ".join(checkpoint.styles), strength_of(checkpoint)
    return gr.update(visible=True), title + hint, tags, strength, new_seed(), gr.update(visible=False)


def parsed_alpha(text: str) -> float | None:
    """Return None for an empty field. Raises InvalidInputError for what is no number."""
    try:
        return float(text) if text.strip() else None
    except ValueError as error:
        raise InvalidInputError(f"The alpha is {text[:40]!r}.", "Enter a number, or leave it empty.") from error


async def compare(
    studio: Studio, id: str, tags: str, lyrics: str, duration_sec: float, seed: int | None, strength: float
) -> AsyncIterator[list]:
    """Queue both songs; yield their progress and their audio, until both have ended."""
    checkpoint = find_checkpoint(studio, id)
    with user_errors():
        request = SongRequest.of({"tags": tags, "lyrics": lyrics, "duration_sec": duration_sec, "seed": seed})
        pair = await to_thread.run_sync(partial(studio.songs.compare, id, request, strength=strength))
    name, last = checkpoint.name if checkpoint else "", None
    while True:
        if pair != last:
            base, styled = song_part(studio, pair[0], "Base"), song_part(studio, pair[1], name)
            yield [gr.update(visible=True), *base, *styled]
        if all(song.status not in UNDER_WAY for song in pair):
            return
        last = pair
        await anyio.sleep(POLL_SEC)
        with user_errors():
            base_song, styled_song = [await to_thread.run_sync(studio.songs.get, song.id) for song in pair]
        pair = base_song, styled_song


def song_part(studio: Studio, song: Generation, label: str) -> tuple[str, dict[str, Any]]:
    """Return the status of one of the two songs, and its player."""
    title = f'<h3 class="card-title" dir="auto">{html.escape(label)}</h3>'
    status = f'{title}<p class="hint">Seed {song.request["seed"]}</p>{song_status(song)}'
    audio = served_file(studio.songs.path(song.id))["path"] if song.status == "completed" else None
    return status, gr.update(value=audio, label=label, visible=audio is not None)
