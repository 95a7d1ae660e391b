"""The Hugging Face Hub on the page: styles to take in, and styles and datasets to publish."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import gradio as gr

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.store.views import HUB_LICENSES, HubRepo, Published, RepoKind
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.import_progress import import_html, running_import, states, stop_import
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
        with gr.Row() as actions:
            take = gr.Button("Import it", variant="primary")
    search.click(partial(found_repos, studio, kind), words, found, show_progress_on=[card], api_visibility="private")
    found.input(None, found, repo, js="id => id", **QUIET)  # before anyone presses the next button
    look.click(
        partial(card_of, studio, kind), [repo, revision], card, show_progress_on=[card], api_visibility="private"
    )
    fields = [repo, revision, name, styles]
    if kind == "model":
        take.click(partial(pull_style, studio), fields, card, show_progress_on=[card], api_visibility="private")
    else:
        build_pull(context, fields, take, actions, card)


def build_pull(
    context: PageContext, fields: list[gr.Textbox], take: gr.Button, actions: gr.Row, report: gr.HTML
) -> None:
    """Build the import of a dataset, which goes on without the page, and what stops it beside the button."""
    studio = context.studio
    with actions:
        stop = gr.Button("Stop importing", visible=False)
    followed, own = gr.State(""), gr.State("")
    take.click(partial(start_pull, studio), fields, [followed, own], show_progress_on=[report],
               api_visibility="private")  # fmt: skip
    gr.on(on_change(context.changes.datasets), partial(running_import, studio, True), followed, followed, **QUIET)
    followed.change(partial(follow, studio), [followed, own], [report, stop, context.dataset_id], **QUIET)
    stop.click(partial(stop_import, studio), followed, **QUIET)


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


def start_pull(studio: Studio, repo_id: str | None, revision: str, name: str, styles: str) -> tuple[str, str]:
    """Begin to make a dataset of one on the Hub; return the import's id, twice."""
    with user_errors():
        id = studio.hub.start_pull(named(repo_id), revision, name, comma_separated(styles)).id
    return id, id


async def follow(studio: Studio, id: str, own: str) -> AsyncIterator[tuple]:
    """Yield how far an import is, and the button that stops it; at last a report, and the dataset if it is `own`."""
    async for task in states(studio, id):
        is_here = task.status == "completed" and own == id
        yield import_html(task), gr.update(visible=task.status == "running"), task.dataset_id if is_here else gr.skip()


def pull_style(studio: Studio, repo_id: str | None, revision: str, name: str, styles: str) -> str:
    """Take in a style; return what is said of it."""
    with user_errors():
        taken = studio.hub.pull_style(named(repo_id), revision, name, comma_separated(styles))
    for warning in taken.warnings:
        gr.Warning(html.escape(warning), title="Imported")
    return html.notice("success", f"“{taken.name}” is here, from revision {taken.origin.get('revision', '')[:12]}.")


def published(
    push: Push, id: str | None, repo_id: str, license: str, private: bool, confirmed: bool, update: bool
) -> str:
    if not id:
        raise gr.Error("Choose what to publish first.", title="Nothing chosen", print_exception=False)
    with user_errors():
        done = push(id, repo_id.strip(), license, private, confirmed, update)
    return html.notice("success", f"Published as {done.repo_id}, revision {done.revision[:12]}.", done.url)
