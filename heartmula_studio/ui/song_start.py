"""A song that begins with a recording of one's own, as the codec hears it, and goes on from there."""

import json
from functools import partial

import gradio as gr

from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.songs.prefixes import Continuation
from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.page_context import PageContext, parsed_number, user_errors
from heartmula_studio.ui.quiet import AS_SENT

NONE_YET = "Recordings of prepared datasets are listed here: add them under Dataset, and press Prepare."


def build_song_start(context: PageContext) -> tuple[gr.Dropdown, gr.Textbox, gr.Button]:
    """Build the choice of a recording, the second to go on from, and the button, whose press the caller handles."""
    with gr.Accordion("Start from a recording of your own", open=FOLDED):
        track = gr.Dropdown([], value=None, label="Recording", info=NONE_YET, interactive=True)
        from_sec = gr.Textbox(
            label="Continue from second", info="The song begins with the recording up to there; empty: all of it.",
            max_lines=1,
        )  # fmt: skip
        start = gr.Button("Continue the recording", size="sm")
    gr.on(on_change(context.changes.datasets), partial(track_choices, context.studio), track, track, **AS_SENT)
    return track, from_sec, start


def track_choices(studio: Studio, chosen: str | None) -> dict:
    """Update the recordings that are tokenized; the chosen one stays chosen as long as it is there."""
    choices = [
        (f"{dataset.name}: {track.filename}", json.dumps([dataset.id, track.filename]))
        for dataset in studio.datasets.list()
        for track in dataset.audio_files
        if track.frames is not None
    ]
    is_there = chosen in [value for _, value in choices]
    return gr.update(choices=choices, value=chosen if is_there else None)


def continue_track(studio: Studio, choice: str | None, second: str, request: SongRequest) -> str:
    """Queue a song that goes on from a recording for as long as the request lasts, and return its id."""
    if not choice:
        raise gr.Error("Choose a recording first.", title="No recording", print_exception=False)
    dataset_id, filename = json.loads(choice)
    with user_errors():
        from_sec = parsed_number(second, "second")
        return studio.songs.continue_track(dataset_id, filename, Continuation.by(request), from_sec).id
