"""The takes of the song that is shown, side by side: played, starred, and the others deleted."""

import gradio as gr

from heartmula_studio.store.records import UNDER_WAY, Generation
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.page_context import PageContext, keyed, user_errors
from heartmula_studio.ui.quiet import QUIET, render_list
from heartmula_studio.ui.song_actions import another_seed, find_song
from heartmula_studio.ui.song_view import song_badges, take_lines

STARS = {True: "★ Starred", False: "☆ Star"}


def build_takes(context: PageContext) -> None:
    @render_list([context.song_id], on_change(context.changes.songs, context.song_id))
    def _(chosen: str) -> None:
        song = find_song(context.studio, chosen)
        takes = context.studio.songs.takes(song.id) if song else []
        if len(takes) < 2:
            return
        gr.HTML("<h2>Takes</h2>")
        with gr.Row(elem_classes=["cards"]):
            for number, take in enumerate(takes, start=1):
                _build_take(context, take, number, take.id == chosen)
        if any(take.starred for take in takes) and not all(take.starred for take in takes):
            keep = gr.Button("Delete the takes without a star", size="sm", **keyed(f"keep {takes[0].id}"))
            keep.click(lambda: keep_starred(context.studio, chosen), outputs=context.song_id, key=keep.key, **QUIET)


def _build_take(context: PageContext, take: Generation, number: int, is_chosen: bool) -> None:
    with gr.Column(elem_classes=["card", "selected"] if is_chosen else ["card"]):
        gr.HTML(html.card(f"Take {number}", song_badges(take), take_lines(take)))
        if take.status == "completed":
            url = context.players.url(context.studio.songs.path(take.id))
            gr.HTML(html.player(url, f"take {number}"))
        with gr.Row(elem_classes=["card-actions", "in-sight"]):
            show = gr.Button("Show", size="sm", min_width=80, **keyed(f"take {take.id}"))
            show.click(lambda: take.id, outputs=context.song_id, key=show.key, **QUIET)
            star = gr.Button(STARS[take.starred], size="sm", min_width=90, **keyed(f"star {take.id} {take.starred}"))
            star.click(lambda: star_song(context.studio, take.id, not take.starred), key=star.key, **QUIET)
            if take.status not in UNDER_WAY and take.audible is False:
                anew = gr.Button("Try another seed", size="sm", min_width=110, **keyed(f"anew {take.id}"))
                anew.click(
                    lambda: another_seed(context.studio, take.id), outputs=context.song_id, key=anew.key, **QUIET
                )


def star_song(studio: Studio, id: str, starred: bool) -> None:
    with user_errors():
        studio.songs.star(id, starred)


def keep_starred(studio: Studio, id: str) -> str:
    """Delete the takes without a star, and return the id of the first one that stays."""
    with user_errors():
        return studio.songs.keep_starred_takes(id)[0].id
