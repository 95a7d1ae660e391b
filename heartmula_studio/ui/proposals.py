"""What programs propose for tracks, on the page: looked for, and decided for all at once; for one, in the table."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.records import Dataset, Proposal
from heartmula_studio.store.songs import shown
from heartmula_studio.store.task_views import Analysis, AnalysisKind
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, find_dataset, follow_choice, user_errors
from heartmula_studio.ui.quiet import QUIET

HINT = "Nothing proposed is trained on until you accept it: tick it in the track's row, or accept all."
POLL_SEC = 0.5
FINDERS: dict[AnalysisKind, str] = {
    "lyrics": "Transcribe lyrics",
    "tags": "Propose tags",
    "tempo_and_key": "Find tempo and key",
}
"""The button of each analysis."""

VOICE: dict[str, bool | None] = {
    "The voice, if possible": None,
    "The voice alone": True,
    "The whole recording": False,
}
"""What lyrics are transcribed from, and whether the voice is separated first."""


def build_proposals(context: PageContext) -> None:
    """Build what acts on all tracks of the selected dataset."""
    studio, dataset_id = context.studio, context.dataset_id
    with gr.Row(elem_classes=["actions", "field-row"]):
        voice = gr.Dropdown(list(VOICE), label="Transcribe from", interactive=True, min_width=250, scale=0)
        finders = {kind: gr.Button(text, min_width=140) for kind, text in FINDERS.items()}
        stop = gr.Button("Stop listening", visible=False, min_width=140)
        accept = gr.Button("Accept all proposals", visible=False, min_width=140)
        reject = gr.Button("Reject the rest", visible=False, min_width=140)
        reopen = gr.Button("Undo all decisions", visible=False, min_width=140)
    report = gr.HTML()
    outputs, follow_it, following = [report, stop], partial(follow, studio), []
    for kind, find in finders.items():
        started = find.click(partial(start, studio, kind), [dataset_id, voice], report, **QUIET)
        following.append(started.success(follow_it, dataset_id, outputs, **QUIET))
    stop.click(partial(stop_listening, studio), dataset_id, **QUIET)
    follow_choice(dataset_id, follow_it, cleared_report, outputs, following)
    for button, status in ((accept, "accepted"), (reject, "rejected"), (reopen, "open")):
        button.click(partial(decide_all, studio, status), dataset_id, report, **QUIET)
    gr.on(
        on_change(context.changes.datasets, dataset_id), partial(possible_decisions, studio), dataset_id,
        outputs=[accept, reject, reopen], **QUIET,
    )  # fmt: skip


def cleared_report() -> tuple[str, dict]:
    return "", gr.update(visible=False)


def start(studio: Studio, kind: AnalysisKind, id: str, voice: str) -> str:
    """Have a program listen to all tracks; one that does already goes on. `voice` is one of `VOICE`."""
    with user_errors():
        try:
            studio.datasets.start_analysis(id, kind, separate_vocals=VOICE[voice])
        except ConflictError:
            if studio.datasets.get_analysis(id, kind).status != "running":
                raise
    return ""


async def follow(studio: Studio, id: str) -> AsyncIterator[tuple[str, dict]]:
    """Yield how far the programs are that listen to a dataset, until they end, and then what they have proposed."""
    followed: set[AnalysisKind] = set()
    while found := await to_thread.run_sync(find_analyses, studio, id):
        dataset, analyses = found
        running = [analysis for analysis in analyses if analysis.status == "running"]
        followed.update(analysis.kind for analysis in running)
        if not running:
            ended = [analysis for analysis in analyses if analysis.kind in followed]
            yield report_html(dataset, ended) if ended else "", gr.update(visible=False)
            return
        yield "".join(map(progress_html, running)), gr.update(visible=True)
        await asyncio.sleep(POLL_SEC)
    yield cleared_report()


def find_analyses(studio: Studio, id: str) -> tuple[Dataset, list[Analysis]] | None:
    """Return a dataset that a browser remembers, and how far the programs are, or None when it was deleted."""
    try:
        return studio.datasets.get(id), [studio.datasets.get_analysis(id, kind) for kind in FINDERS]
    except NotFoundError:
        return None


def stop_listening(studio: Studio, id: str) -> None:
    with user_errors():
        for kind in FINDERS:
            if studio.datasets.get_analysis(id, kind).status == "running":
                studio.datasets.cancel_analysis(id, kind)


def progress_html(analysis: Analysis) -> str:
    return html.progress(analysis.progress, f"{analysis.done} of {counted(analysis.total, 'song')}. {analysis.track}")


def report_html(dataset: Dataset, analyses: Sequence[Analysis]) -> str:
    """Return what is proposed for each track, what could not be listened to, and why a program ended early."""
    lines = []
    for track in dataset.audio_files:
        if proposed := [label(proposal) for proposal in track.proposals if proposal.status == "open"]:
            lines.append(f"{track.filename}: {', '.join(proposed)}")
    skipped = [item.reason for analysis in analyses for item in analysis.skipped]
    failures = [html.notice("error", a.error.message, a.error.hint) for a in analyses if a.error]
    found = html.notice("info", HINT, shown(lines)) if lines else html.notice("info", "Nothing new is proposed.")
    return found + html.lines("error", skipped) + "".join(failures)


def label(proposal: Proposal) -> str:
    """Return a tag, or how lyrics begin, with the confidence."""
    text = proposal.value
    if proposal.kind == "lyrics":
        language = f" ({proposal.language})" if proposal.language else ""
        text = f"{sum(one is not None for one in proposal.line_confidences)} lines of lyrics{language}"
    return f"{text} (confidence {proposal.confidence:.2f})"


def decide_all(studio: Studio, status: str, id: str) -> str:
    with user_errors():
        studio.datasets.decide_proposals(id, status)
    return ""


def possible_decisions(studio: Studio, id: str) -> list[dict]:
    """Return which of accepting, rejecting and undoing there is something for."""
    dataset = find_dataset(studio, id)
    tracks = dataset.audio_files if dataset else ()
    statuses = {proposal.status for track in tracks for proposal in track.proposals}
    is_open = "open" in statuses
    return [gr.update(visible=is_visible) for is_visible in (is_open, is_open, bool(statuses - {"open"}))]
