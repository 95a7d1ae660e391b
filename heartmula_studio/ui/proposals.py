"""What programs propose for tracks, on the page: looked for, ticked to accept, rejected, brought back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import gradio as gr

from heartmula_studio.store.records import Proposal
from heartmula_studio.store.songs import find_song
from heartmula_studio.store.views import TrackProposals
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, find_dataset, shown_as_found, user_errors
from heartmula_studio.ui.quiet import QUIET, SAVING

HINT = "Nothing is trained on a proposed tag before you accept it: tick it in the track's row, or accept all."


def build_proposals(context: PageContext) -> None:
    """Build what acts on all tracks of the selected dataset."""
    studio, dataset_id = context.studio, context.dataset_id
    with gr.Row():
        find = gr.Button("Find tempo and key", min_width=180, scale=0)
        stop = gr.Button("Stop listening", visible=False, min_width=140)
        accept = gr.Button("Accept all proposed tags", visible=False, min_width=140)
        reject = gr.Button("Reject the rest", visible=False, min_width=140)
        reopen = gr.Button("Undo all decisions", visible=False, min_width=140)
    report = gr.HTML()
    finding = find.click(partial(find_tempo_and_key, studio), dataset_id, [report, stop], **QUIET)
    context.refresh_after(finding)
    nothing = ("", gr.update(visible=False))
    context.refresh_after(stop.click(lambda: nothing, outputs=[report, stop], cancels=[finding], **QUIET))
    dataset_id.change(lambda: nothing, outputs=[report, stop], cancels=[finding], **QUIET)
    for button, status in ((accept, "accepted"), (reject, "rejected"), (reopen, "open")):
        context.refresh_after(button.click(partial(decide_all, studio, status), dataset_id, report, **QUIET))
    gr.on(
        on_change(context.changes.datasets, dataset_id), partial(possible_decisions, studio), dataset_id,
        outputs=[accept, reject, reopen], **QUIET,
    )  # fmt: skip


def find_tempo_and_key(studio: Studio, id: str) -> Iterator[tuple[str, dict]]:
    """Listen to the tracks one by one; yield progress, and what was found so far."""
    found: list[TrackProposals] = []
    with user_errors():
        total = len(studio.datasets.get(id).audio_files)
        yield from shown_as_found(studio.datasets.propose_tempo_and_key(id), total, found, report_html)
    yield report_html(found), gr.update(visible=False)


def report_html(tracks: Sequence[TrackProposals]) -> str:
    """Return what is proposed for each track, and why some could not be listened to."""
    lines = [
        f"{track.filename}: {', '.join(map(label, track.proposals)) or 'nothing that is clear'}" for track in tracks
    ]
    errors = [track.error for track in tracks if track.error]
    return f'<p class="hint">{html.escape(HINT)}</p>{html.lines("info", lines)}{html.lines("error", errors)}'


def label(proposal: Proposal) -> str:
    return f"{proposal.value} (confidence {proposal.confidence:.2f})"


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


# --- in the row of a track -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowProposals:
    """Ticks that accept, a button that rejects the rest, and one that brings back what was rejected."""

    ticks: gr.CheckboxGroup
    reject: gr.Button
    reopen: gr.Button

    @classmethod
    def build(cls) -> "RowProposals":
        ticks = gr.CheckboxGroup([], label="Proposed tags: tick to accept", visible=False, interactive=True)
        with gr.Row():
            reject = gr.Button("Reject what is not ticked", visible=False, size="sm", min_width=180)
            reopen = gr.Button("Bring back what was rejected", visible=False, size="sm", min_width=180)
        return cls(ticks, reject, reopen)

    @property
    def displays(self) -> list[gr.components.Component]:
        return [self.ticks, self.reject, self.reopen]

    def connect(self, context: PageContext, row: int, tracks: gr.JSON) -> None:
        """tracks: dataset and file name of each row's track."""
        studio = context.studio
        save = partial(save_ticks, studio, row)
        context.refresh_after(self.ticks.input(save, [tracks, self.ticks], trigger_mode="multiple", **SAVING))
        for button, before, after in ((self.reject, "open", "rejected"), (self.reopen, "rejected", "open")):
            context.refresh_after(button.click(partial(change_all, studio, before, after, row), tracks, **SAVING))


def row_updates(proposals: Sequence[Proposal]) -> list[dict]:
    """Return updates for `RowProposals.displays`."""
    offered = [proposal for proposal in proposals if proposal.status != "rejected"]
    accepted = [str(proposal.number) for proposal in offered if proposal.status == "accepted"]
    choices = [(label(proposal), str(proposal.number)) for proposal in offered]
    return [
        gr.update(choices=choices, value=accepted, visible=bool(offered)),
        gr.update(visible=len(accepted) < len(offered)),
        gr.update(visible=len(offered) < len(proposals)),
    ]


def save_ticks(studio: Studio, row: int, tracks: list, ticked: list[str]) -> None:
    """Accept what is ticked, and undo that of what no longer is."""
    for proposal in _proposals(studio, tracks[row]):
        if proposal.status != "rejected":
            status = "accepted" if str(proposal.number) in ticked else "open"
            _decide(studio, tracks[row], proposal, status)


def change_all(studio: Studio, before: str, after: str, row: int, tracks: list) -> None:
    """Give all proposals of a track with one status another."""
    for proposal in _proposals(studio, tracks[row]):
        if proposal.status == before:
            _decide(studio, tracks[row], proposal, after)


def _proposals(studio: Studio, track: list[str] | None) -> tuple[Proposal, ...]:
    """None for a row that has just lost its track."""
    if track is None:
        return ()
    with user_errors():
        return find_song(studio.datasets.get(track[0]), track[1]).proposals


def _decide(studio: Studio, track: list[str], proposal: Proposal, status: str) -> None:
    if proposal.status != status:
        with user_errors():
            studio.datasets.decide_proposal(track[0], track[1], proposal.number, status)
