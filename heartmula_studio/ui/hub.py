"""The Hugging Face Hub on the page: styles to take in, and styles and datasets to publish."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.views import HUB_LICENSES, HubRepo, Published, RepoKind, SkippedItem
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.page_context import PageContext, comma_separated, user_errors
from heartmula_studio.ui.quiet import QUIET

Push = Callable[[str, str, str, bool, bool, bool], Published]
FORMATS = (
    ("This studio, or PEFT (.zip)", "peft"),
    ("One file with its settings inside (.safetensors)", "safetensors"),
    ("kohya's scripts (.safetensors)", "kohya"),
    ("ComfyUI (.safetensors)", "comfyui"),
    ("heartlib: merged with the base (.zip, large)", "merged"),
)
NOUNS: dict[RepoKind, str] = {"model": "Style", "dataset": "Dataset"}
PANELS: dict[RepoKind, list[str]] = {"model": [], "dataset": ["glass"]}  # styles stand in a panel of the tab
SKIPPED_SHOWN = 50
LOGIN = "The studio's machine has to be logged in there: `hf auth login`, or HF_TOKEN."


def build_on_hub(context: PageContext, kind: RepoKind) -> None:
    """Build search, card and import of styles or datasets."""
    studio, noun = context.studio, NOUNS[kind]
    with gr.Accordion(f"{noun}s on the Hugging Face Hub", open=FOLDED, elem_classes=PANELS[kind]):
        words = gr.Textbox(label="Search for", placeholder="synthwave", max_lines=1)
        search = gr.Button("Search")
        found = gr.Radio(label="Found", visible=False, interactive=True)
        repo = gr.Textbox(label=f"{noun} on the Hub", placeholder="user/name", max_lines=1)
        revision = gr.Textbox(label="Revision", placeholder="the newest", max_lines=1)
        look = gr.Button("Show its card")
        card = gr.HTML()
        name = gr.Textbox(label="Name here", placeholder="its own", max_lines=1)
        styles = gr.Textbox(label="Styles here", placeholder="its own", info="Separated by commas.", max_lines=1)
        take = gr.Button("Import it", variant="primary")
    search.click(partial(found_repos, studio, kind), words, found, show_progress_on=[card], api_visibility="private")
    found.input(None, found, repo, js="id => id", **QUIET)  # before anyone presses the next button
    look.click(
        partial(card_of, studio, kind), [repo, revision], card, show_progress_on=[card], api_visibility="private"
    )
    pulled = take.click(
        partial(pull_style if kind == "model" else pull_dataset, studio), [repo, revision, name, styles],
        [card, context.dataset_id], show_progress_on=[card], api_visibility="private",
    )  # fmt: skip
    context.refresh_after(pulled)


def build_style_export(studio: Studio, exporting: gr.State, download: gr.DownloadButton) -> None:
    """Build the panel of one style, shown while it is chosen: as a file for other programs, or on the Hub."""
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        heading = gr.HTML()
        with gr.Row(elem_classes=["field-row"]):
            format = gr.Dropdown(FORMATS, value="peft", label="For", interactive=True)
            export = gr.Button("Export")
        build_publication(studio.hub.push_style, exporting)
        close = gr.Button("Close")
    exporting.change(lambda id: export_panel(studio, id), exporting, [panel, heading], **QUIET)
    close.click(lambda: "", outputs=exporting, **QUIET)
    packed = export.click(
        lambda id, format: exported_style(studio, id, format), [exporting, format], download,
        show_progress_on=[panel], api_visibility="private",
    )  # fmt: skip
    packed.success(None, download, js=SAVE_FILE, api_visibility="private")


def build_publication(push: Push, chosen: gr.State) -> None:
    """Build the fields that publish what is chosen. What is unknown of the rights has to be confirmed."""
    with gr.Accordion("Publish on the Hugging Face Hub", open=FOLDED):
        repo = gr.Textbox(label="Repository", placeholder="user/name", info=LOGIN, max_lines=1)
        license = gr.Dropdown(list(HUB_LICENSES), value="other", label="Licence", interactive=True)
        private = gr.Checkbox(True, label="Private: only you can see it")
        confirmed = gr.Checkbox(False, label="I may publish it, although the rights of some recordings are not stated")
        update = gr.Checkbox(False, label="Add to a repository of mine that already exists")
        start = gr.Button("Publish", variant="primary")
        done = gr.HTML()
    chosen.change(lambda: "", outputs=done, **QUIET)
    start.click(
        lambda *values: published(push, *values), [chosen, repo, license, private, confirmed, update], done,
        show_progress_on=[done], api_visibility="private",
    )  # fmt: skip


def export_panel(studio: Studio, id: str) -> tuple[dict[str, Any], str]:
    try:
        name = studio.checkpoints.get(id).name if id else ""
    except NotFoundError:  # it was deleted meanwhile
        name = ""
    return gr.update(visible=bool(name)), f'<h2 class="card-title" dir="auto">Export {html.escape(name)}</h2>'


def exported_style(studio: Studio, id: str, format: str) -> str:
    """A style as one file, where a browser can fetch it."""
    with user_errors():
        return served_stream(*studio.checkpoints.download(id, format))["path"]


def found_repos(studio: Studio, kind: RepoKind, words: str) -> dict[str, Any]:
    with user_errors():
        found = studio.hub.find(kind, words)
    if not found:
        gr.Info(f"The Hub has no {NOUNS[kind].lower()} with these words.")
    return gr.update(choices=[repo.id for repo in found], value=None, visible=bool(found))


def card_of(studio: Studio, kind: RepoKind, repo_id: str | None, revision: str) -> str:
    """A repository's card as text: a stranger wrote it."""
    with user_errors():
        return card_html(studio.hub.look_at(named(repo_id), kind, revision))


def named(repo_id: str | None) -> str:
    """Raises InvalidInputError where none is named."""
    if not repo_id:
        raise InvalidInputError("No repository was given.", "Search for one, or type user/name.")
    return repo_id


def card_html(repo: HubRepo) -> str:
    facts = [f"Revision {repo.revision}", f"Licence: {repo.license or 'not stated'}", f"Base: {repo.base_model or '?'}"]
    facts += ["Private"] if repo.is_private else []
    facts += ["Gated"] if repo.is_gated else []
    return html.card(repo.id, [], facts) + f'<pre class="hint" dir="auto">{html.escape(repo.card)}</pre>'


def pull_style(studio: Studio, repo_id: str | None, revision: str, name: str, styles: str) -> tuple[str, Any]:
    """Take in a style; return what is said of it, and the selected dataset as it is."""
    with user_errors():
        taken = studio.hub.pull_style(named(repo_id), revision, name, comma_separated(styles))
    for warning in taken.warnings:
        gr.Warning(html.escape(warning), title="Imported")
    said = html.notice("success", f"“{taken.name}” is here, from revision {taken.origin.get('revision', '')[:12]}.")
    return said, gr.skip()


def pull_dataset(studio: Studio, repo_id: str | None, revision: str, name: str, styles: str) -> tuple[str, str]:
    """Make a dataset of one on the Hub; return what was left out of it, and select it."""
    with user_errors():
        taken = studio.hub.pull_dataset(named(repo_id), revision, name, comma_separated(styles))
    return taken_report(taken.name, len(taken.audio_files), taken.skipped), taken.id


def taken_report(name: str, songs: int, skipped: Sequence[SkippedItem]) -> str:
    """Return HTML: how many songs were imported, and what was left out and why."""
    imported = html.notice("success", f"“{name}” has {counted(songs, 'song')}.")
    if not skipped:
        return imported
    left_out = [f"{item.name}: {item.reason}" for item in skipped[:SKIPPED_SHOWN]]
    more = len(skipped) - len(left_out)
    left_out += [f"… and {more} more"] if more else []
    count = f"{len(skipped)} {'thing was' if len(skipped) == 1 else 'things were'} left out or unclear."
    return imported + html.notice("warning", count) + html.lines("warning", left_out)


def published(
    push: Push, id: str | None, repo_id: str, license: str, private: bool, confirmed: bool, update: bool
) -> str:
    if not id:
        raise gr.Error("Choose what to publish first.", title="Nothing chosen", print_exception=False)
    with user_errors():
        done = push(id, repo_id.strip(), license, private, confirmed, update)
    return html.notice("success", f"Published as {done.repo_id}, revision {done.revision[:12]}.", done.url)
