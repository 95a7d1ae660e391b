"""A song made again, bit for bit, by the receipt of one that is here, or by one that came as a file."""

from functools import partial
from pathlib import Path

import gradio as gr

from heartmula_studio.studio import Studio
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import QUIET

FILE_TYPES = [".json", ".wav", ".flac", ".mp3", ".opus"]


def build_replay(context: PageContext) -> None:
    """Build what makes a song again by a receipt from elsewhere."""
    with gr.Accordion("Make a song again from its receipt", open=FOLDED):
        file = gr.File(label="A song, or the .json that came with it", file_types=FILE_TYPES, height=130)
        start = gr.Button("Make it again", size="sm")
    start.click(partial(replay_file, context.studio), file, context.song_id, **QUIET)


def replay(studio: Studio, id: str) -> str:
    """Queue a song by the receipt of one that is here, and return the new song's id."""
    with user_errors():
        return studio.songs.replay(studio.songs.receipt(id), studio.songs.get(id).format).id


def replay_file(studio: Studio, path: str | None) -> str:
    """Queue a song by the receipt in a file, and return the new song's id."""
    from heartmula_studio.generate.receipt_file import read_receipt

    if not path:
        raise gr.Error("Choose a file first.", title="No file", print_exception=False)
    with user_errors():
        return studio.songs.replay(read_receipt(Path(path))).id
