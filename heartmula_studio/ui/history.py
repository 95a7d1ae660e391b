"""The songs made so far: found, starred, chosen and taken out as a zip. A page of them is drawn at a time."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from heartmula_studio.errors import NotFoundError
from heartmula_studio.services.songs.history import MAX_SEARCH_CHARS, Order, SongQuery, song_title
from heartmula_studio.store.records import BASE_STYLE, UNDER_WAY, Generation
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.page_context import PageContext, keyed, user_errors
from heartmula_studio.ui.quiet import AS_SENT, QUIET, render_list
from heartmula_studio.ui.replay import replay
from heartmula_studio.ui.scripts import read_script
from heartmula_studio.ui.song_actions import format_field
from heartmula_studio.ui.song_view import song_badges, song_lines
from heartmula_studio.ui.takes import STARS, star_song

PAGE_SONGS = 12
ANY_STYLE = ("All styles", "")
ORDERS: dict[str, Order] = {
    "Newest first": "newest",
    "Oldest first": "oldest",
    "By title": "title",
    "Longest first": "longest",
    "Shortest first": "shortest",
}
NOTHING_WANTED = ["", "", False, "newest"]


@dataclass(frozen=True)
class Filters:
    """Fields named as those of `SongQuery`."""

    search: gr.Textbox
    style: gr.Dropdown
    starred: gr.Checkbox
    sort: gr.Dropdown

    @property
    def fields(self) -> list[gr.Textbox | gr.Dropdown | gr.Checkbox]:
        return list(vars(self).values())


def build_history(context: PageContext) -> None:
    first, wanted = gr.State(0), gr.State(NOTHING_WANTED)
    picked: gr.State = gr.State([])
    redrawn = gr.State(0)  # counts up where what is picked changes all at once
    with gr.Column(elem_classes=["glass", "history"]):
        gr.HTML("<h2>History</h2>")
        build_filters(context, wanted, first)
        build_archive(context, wanted, picked, redrawn)

        @render_list(
            [context.song_id, picked, first, wanted],
            on_change(context.changes.songs, context.song_id, first, wanted, redrawn),
        )
        def _(chosen: str, ids: list[str], start: int, values: list) -> None:
            query = query_of(start, values)
            songs, total = context.studio.songs.find(query)
            if not songs:
                gr.HTML(nothing_found(query))
            names = {checkpoint.id: checkpoint.name for checkpoint in context.studio.checkpoints.list()}
            with gr.Column(elem_classes=["cards", "songs"]):
                for song in songs:
                    _build_song(context, song, names, song.id == chosen, picked, song.id in ids)
            if total > PAGE_SONGS:
                _build_pages(first, start, total)


def build_filters(context: PageContext, wanted: gr.State, first: gr.State) -> None:
    """Build what songs are looked for by: `wanted` gets the values of `Filters.fields`, and the first page is shown."""
    with gr.Row(elem_classes=["field-row"]):
        search = gr.Textbox(
            label="Search", placeholder="Title, tags, lyrics", max_lines=1, max_length=MAX_SEARCH_CHARS,
            scale=3, min_width=260,
        )  # fmt: skip
        style = gr.Dropdown([ANY_STYLE], value="", label="Style", interactive=True, scale=2, min_width=170)
        sort = gr.Dropdown(list(ORDERS.items()), value="newest", label="Order", interactive=True, min_width=150)
        starred = gr.Checkbox(False, label="Starred only", min_width=130)
    fields = Filters(search, style, starred, sort).fields
    gr.on(on_change(*fields), lambda *values: (list(values), 0), fields, [wanted, first], **AS_SENT)
    gr.on(on_change(context.changes.checkpoints), partial(style_choices, context.studio), style, style, **AS_SENT)


def build_archive(context: PageContext, wanted: gr.State, picked: gr.State, redrawn: gr.State) -> None:
    """Build what picks songs, gives them out as one zip, and compares two."""
    studio, file = context.studio, gr.DownloadButton(visible=False)
    script = read_script("switcher.js", "pair.js")
    with gr.Accordion("Compare two, download several", open=FOLDED) as panel:
        count = gr.HTML(ticked(()))
        with gr.Row(elem_classes=["field-row"]):
            format = format_field()
            download = gr.Button("Download as ZIP")
        with gr.Row():
            all_found = gr.Button("Select all found", size="sm")
            none = gr.Button("Select none", size="sm")
            compare = gr.Button("Compare the two selected", size="sm")
        pair = gr.HTML("", html_template="", js_on_load=script, apply_default_css=False)
    all_found.click(
        lambda count, values: (found_ids(studio, values), count + 1), [redrawn, wanted], [picked, redrawn], **QUIET
    )
    picked.change(ticked, picked, count, **QUIET)
    none.click(lambda count: ([], count + 1), redrawn, [picked, redrawn], **QUIET)
    packed = download.click(
        partial(archive, studio), [picked, format], file, show_progress_on=[panel], api_visibility="private"
    )
    packed.success(None, file, js=SAVE_FILE, api_visibility="private")
    compare.click(partial(pair_value, context), picked, pair, **QUIET)


def pair_value(context: PageContext, ids: Sequence[str]) -> str:
    """Return what pair.js shows of two songs."""
    if len(ids) != 2:
        raise gr.Error(f"Select two songs; {len(ids)} are selected now.", title="Two songs", print_exception=False)
    with user_errors():
        songs = [context.studio.songs.get(id) for id in ids]
        urls = [context.players.url(context.studio.songs.path(id)) for id in ids]
    return json.dumps([{"title": song_title(song), "url": url} for song, url in zip(songs, urls, strict=True)])


def ticked(ids: Sequence[str]) -> str:
    """HTML: how many songs are ticked."""
    if not ids:
        return '<p class="hint">Select songs below, or all that are found.</p>'
    return f'<p class="hint">Songs selected: {len(ids)}</p>'


def query_of(start: int, values: Sequence[Any]) -> SongQuery:
    """Return what the values of `Filters.fields` look for, from a song on."""
    search, style, starred, sort = values
    return SongQuery(search, style or "", starred, sort, start, PAGE_SONGS)


def nothing_found(query: SongQuery) -> str:
    """HTML for a list without songs."""
    if query.search or query.style or query.starred:
        return html.empty("🔎", "No matching songs", "Try other words, or all styles.")
    return html.empty("📼", "No songs yet", "Songs that you generate are kept here.")


def style_choices(studio: Studio, chosen: str | None) -> dict:
    """Update the styles that songs can be looked for by; one that is gone stays while it is chosen."""
    styles = [(checkpoint.name, checkpoint.id) for checkpoint in studio.checkpoints.list()]
    choices = [ANY_STYLE, ("The base model", BASE_STYLE), *styles]
    gone = [(chosen, chosen)] if chosen and chosen not in [id for _, id in choices] else []
    return gr.update(choices=[*choices, *gone])


def found_ids(studio: Studio, values: Sequence[Any]) -> list[str]:
    """Return the finished songs among all that the values of `Filters.fields` look for."""
    query = replace(query_of(0, values), limit=None)
    return [song.id for song in studio.songs.find(query)[0] if song.status == "completed"]


def archive(studio: Studio, ids: list[str], format: str) -> str:
    """The songs as one zip, where a browser can fetch it; those that are gone by now are left out."""
    there = {song.id for song in studio.songs.list()}
    with user_errors():
        return served_stream(*studio.songs.archive([id for id in ids if id in there], format))["path"]


def _build_pages(first: gr.State, start: int, total: int) -> None:
    last = min(start + PAGE_SONGS, total)
    with gr.Row():
        back = gr.Button("← Back", size="sm", interactive=start > 0, **keyed(f"back {start}"))
        gr.HTML(f'<p class="hint">{start + 1} to {last} of {total} songs</p>')
        on = gr.Button("More →", size="sm", interactive=last < total, **keyed(f"on {start}"))
    back.click(lambda: max(start - PAGE_SONGS, 0), outputs=first, key=back.key, **QUIET)
    on.click(lambda: start + PAGE_SONGS, outputs=first, key=on.key, **QUIET)


def _build_song(
    context: PageContext,
    song: Generation,
    names: Mapping[str, str],
    is_chosen: bool,
    picked: gr.State,
    is_picked: bool,
) -> None:
    studio = context.studio
    with gr.Column(elem_classes=["card", "selected"] if is_chosen else ["card"]):
        image_url = context.players.url(studio.songs.cover_path(song.id)) if song.cover else ""
        gr.HTML(html.card(song_title(song), song_badges(song), song_lines(song, names), image_url=image_url))
        with gr.Row(elem_classes=["card-actions", "in-sight"]):
            words = "▶ Listen" if song.status == "completed" else "Show"
            listen = gr.Button(words, size="sm", min_width=90, **keyed(f"listen {song.id}"))
            listen.click(lambda: song.id, outputs=context.song_id, key=listen.key, **QUIET)
            if song.status == "completed":
                _build_star(context, song)
                again = gr.Button("↻ Make again", size="sm", min_width=110, **keyed(f"replay {song.id}"))
                again.click(lambda: replay(studio, song.id), outputs=context.song_id, key=again.key, **QUIET)
            if song.status not in UNDER_WAY:
                delete = gr.Button("🗑️ Delete", size="sm", min_width=90, **keyed(f"delete {song.id}"))
                delete.click(lambda: delete_song(studio, song.id), key=delete.key, **QUIET)
        if song.status == "completed":
            tick = gr.Checkbox(is_picked, label="Select", container=False, interactive=True, **keyed(f"pick {song.id}"))
            tick.input(lambda on, ids: with_pick(ids, song.id, on), [tick, picked], picked, key=tick.key, **QUIET)


def _build_star(context: PageContext, song: Generation) -> None:
    words = STARS[song.starred]
    star = gr.Button(words, size="sm", min_width=90, **keyed(f"history star {song.id} {song.starred}"))
    star.click(lambda: star_song(context.studio, song.id, not song.starred), key=star.key, **QUIET)


def with_pick(ids: list[str], id: str, is_picked: bool) -> list[str]:
    """Return the picked songs with one more or less."""
    return [*(other for other in ids if other != id), *([id] if is_picked else [])]


def delete_song(studio: Studio, id: str) -> None:
    """Nothing is wrong where another page was quicker."""
    with user_errors(), suppress(NotFoundError):
        studio.songs.delete(id)
