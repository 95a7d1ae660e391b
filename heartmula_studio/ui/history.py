"""The songs made so far, newest first."""

from collections.abc import Mapping

import gradio as gr

from heartmula_studio.store.records import UNDER_WAY, Generation
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, keyed, user_errors
from heartmula_studio.ui.quiet import QUIET, render_list
from heartmula_studio.ui.song_actions import replay
from heartmula_studio.ui.song_view import song_badges, song_lines, song_title

SHOWN_AT_FIRST = 8


def build_history(context: PageContext) -> None:
    shown = gr.State(SHOWN_AT_FIRST)
    with gr.Column(elem_classes=["glass"]):
        gr.HTML("<h2>History</h2>")

        @render_list([context.song_id, shown], on_change(context.changes.songs, context.song_id, shown))
        def _(chosen: str, limit: int) -> None:
            songs = context.studio.songs.list()[::-1]
            if not songs:
                gr.HTML(html.empty("📼", "No songs yet", "What you generate stays here."))
            names = {checkpoint.id: checkpoint.name for checkpoint in context.studio.checkpoints.list()}
            for song in songs[:limit]:
                _build_song(context, song, names, song.id == chosen)
            if len(songs) > limit:
                more = gr.Button(f"Show all {len(songs)}", size="sm")
                more.click(lambda: len(songs), outputs=shown, **QUIET)


def _build_song(context: PageContext, song: Generation, names: Mapping[str, str], is_chosen: bool) -> None:
    with gr.Column(elem_classes=["card", "selected"] if is_chosen else ["card"]):
        gr.HTML(html.card(song_title(song), song_badges(song), song_lines(song, names)))
        with gr.Row(elem_classes=["card-actions", "in-sight"]):
            words = "▶ Listen" if song.status == "completed" else "Show"
            listen = gr.Button(words, size="sm", min_width=90, **keyed(f"listen {song.id}"))
            listen.click(lambda: song.id, outputs=context.song_id, key=listen.key, **QUIET)
            if song.status == "completed":
                again = gr.Button("↻ Make again", size="sm", min_width=110, **keyed(f"replay {song.id}"))
                replayed = again.click(
                    lambda: replay(context.studio, song.id), outputs=context.song_id, key=again.key, **QUIET
                )
                context.refresh_after(replayed)
            if song.status not in UNDER_WAY:
                delete = gr.Button("🗑️ Delete", size="sm", min_width=90, **keyed(f"delete {song.id}"))
                deleted = delete.click(lambda: delete_song(context.studio, song.id), key=delete.key, **QUIET)
                context.refresh_after(deleted)


def delete_song(studio: Studio, id: str) -> None:
    with user_errors():
        studio.songs.delete(id)
