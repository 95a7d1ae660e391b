"""🎵 Create: the request for a song, its result, and the history."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import MAX_TAKES, OF_EARLIER_RELEASES, SONG, SongRequest, new_seed
from heartmula_studio.store.records import UNDER_WAY, Generation
from heartmula_studio.studio import Studio
from heartmula_studio.ui.files import served_file
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.history import build_history
from heartmula_studio.ui.lyrics_tools import LYRICS_ID, build_lyrics_tools, build_section_marks
from heartmula_studio.ui.page_context import PageContext, comma_separated, parsed_number, user_errors
from heartmula_studio.ui.players import Players
from heartmula_studio.ui.quiet import AS_SENT, QUIET
from heartmula_studio.ui.replay import build_replay
from heartmula_studio.ui.sampling import build_sampling
from heartmula_studio.ui.scripts import read_script
from heartmula_studio.ui.song_actions import (
    SongActions,
    build_song_actions,
    continue_song,
    find_song,
    format_field,
    shown_title,
)
from heartmula_studio.ui.song_slider import loudness_field, optional_number, shown_number, song_slider
from heartmula_studio.ui.song_start import build_song_start, continue_track
from heartmula_studio.ui.song_view import song_status
from heartmula_studio.ui.style_manager import build_style_manager
from heartmula_studio.ui.takes import build_takes

POLL_SEC = 0.4
TEMPERATURE_INFO = "Higher is more varied, from 0.01 to 5. Empty: what suits the base model, and its styles."
GUIDANCE_INFO = "How closely it follows tags and lyrics, from 1 to 10. Empty: what suits the base model."


@dataclass(frozen=True)
class SongForm:
    """The fields of a song, named and in the order as `SongRequest` defines them."""

    tags: gr.Dropdown
    lyrics: gr.Textbox
    duration_sec: gr.Slider
    seed: gr.Textbox
    temperature: gr.Textbox
    topk: gr.Number
    cfg_scale: gr.Textbox
    loudness_lufs: gr.Textbox
    min_duration_sec: gr.Slider

    @property
    def fields(self) -> list[gr.components.Component]:
        return list(vars(self).values())


@dataclass(frozen=True)
class Result:
    """The components that show a song; `live` plays it while it is made."""

    status: gr.HTML
    live: gr.HTML
    cancel: gr.Button
    song: gr.Row
    audio: gr.Audio
    receipt: gr.JSON

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        return list(vars(self).values())


def build_create(context: PageContext) -> None:
    studio = context.studio
    with gr.Row(elem_classes=["create"]):
        with gr.Column(elem_classes=["glass", "song-form"]):
            form = build_form()
            takes, until_end, format = _build_output_fields()
            generate = gr.Button("Generate", variant="primary", size="lg")
            track, track_sec, start = build_song_start(context)
            build_replay(context)
        with gr.Column(elem_classes=["glass", "song-result"]):
            result = build_result()
            with result.song, gr.Column(scale=2, min_width=300):
                actions = build_song_actions(context)
            build_takes(context)
        build_style_manager(context, form.tags)
        build_history(context)
    generate.click(
        lambda takes, until_end, format, *values: queue_takes(studio, int(takes), until_end, format, values),
        [takes, until_end, format, *form.fields],
        context.song_id,
        show_progress_on=[result.status],
        api_visibility="private",
    )  # fmt: skip
    start.click(
        lambda track, second, *values: start_from(studio, track, second, values),
        [track, track_sec, *form.fields], context.song_id, **AS_SENT,
    )  # fmt: skip
    gr.on([form.tags.focus, form.tags.change, form.lyrics.focus], studio.songs.prepare, **QUIET)
    _watch(context, form, result, actions)


def _build_output_fields() -> tuple[gr.Slider, gr.Checkbox, gr.Dropdown]:
    """How many songs are made, whether until one ends by itself, and the format of their files."""
    with gr.Row():
        info = "Songs made at once, each with its own seed."
        takes = gr.Slider(1, MAX_TAKES, 1, step=1, label="Takes", info=info, min_width=260)
        format = format_field(info="You can download other formats later.", min_width=200)
    until_end = gr.Checkbox(
        False,
        label="Until one ends by itself",
        info="Makes takes one after another, up to that many, and stops at the first that ends by itself.",
    )
    until_end.input(enough_takes, [until_end, takes], takes, **QUIET)
    return takes, until_end, format


def enough_takes(until_end: bool, takes: float) -> float:
    """Return how many takes may be made: until one ends, one alone would be no choice."""
    return MAX_TAKES if until_end and takes == 1 else takes


def _watch(context: PageContext, form: SongForm, result: Result, actions: SongActions) -> None:
    """Show the chosen song while it is made, and what can be done with it then."""
    studio = context.studio
    watching = gr.on(
        fn=partial(watch_song, studio, context.players), inputs=[context.song_id], outputs=result.outputs,
        trigger_mode="always_last", concurrency_limit=None, **QUIET,
    )  # fmt: skip
    watching.then(partial(shown_title, studio), context.song_id, actions.title, **QUIET)
    actions.go_on.click(
        lambda id, second, *values: go_on(studio, id, second, values),
        [context.song_id, actions.from_sec, *form.fields], context.song_id, **QUIET,
    )  # fmt: skip
    result.cancel.click(lambda id: cancel(studio, id), context.song_id, **QUIET)
    actions.again.click(lambda id: settings_of(studio, id), context.song_id, form.fields, **QUIET)


def build_form() -> SongForm:
    tags = gr.Dropdown(
        [],
        value=[],
        multiselect=True,
        allow_custom_value=True,
        label="Tags",
        info="Choose, or type your own and press Enter.",
    )
    lyrics = gr.Textbox(
        label="Lyrics", info="Leave it empty for an instrumental.", lines=8, max_lines=24,
        placeholder="[Verse]\nThe first line\n\n[Chorus]\nThe line that stays", elem_id=LYRICS_ID,
    )  # fmt: skip
    build_section_marks()
    duration = song_slider("duration_sec", "Length in seconds", step=1)
    build_lyrics_tools(lyrics, duration)
    with gr.Row(elem_classes=["field-row"]):
        seed = gr.Textbox(label="Seed", info="Leave it empty for a new song each time.", max_lines=1, scale=3)
        random_seed = gr.Button("🎲 Random seed", min_width=110)
    random_seed.click(lambda: str(new_seed()), outputs=seed, **QUIET)
    with gr.Accordion("Advanced", open=FOLDED):
        temperature = optional_number("Temperature", TEMPERATURE_INFO, render=False)
        topk = gr.Number(SONG["topk"].default, precision=0, label="Top-k", info=SONG["topk"].help, render=False)
        build_sampling([temperature, topk])
        cfg_scale = optional_number("Guidance (CFG)", GUIDANCE_INFO)
        loudness = loudness_field("Empty: as it was made. Streaming services play songs at -14.")
        shortest = song_slider("min_duration_sec", "Shortest length in seconds", step=1)
    return SongForm(tags, lyrics, duration, seed, temperature, topk, cfg_scale, loudness, shortest)


def build_result() -> Result:
    status = gr.HTML(song_status(None), elem_classes=["announced"])
    live = gr.HTML("", html_template="", js_on_load=read_script("live.js"), apply_default_css=False)
    cancel = gr.Button("Cancel", variant="stop", visible=False)
    with gr.Row(visible=False) as song, gr.Column(scale=3, min_width=300):
        audio = gr.Audio(label="Song", interactive=False, buttons=["download"])
        with gr.Accordion("Receipt: how it was made", open=FOLDED):
            receipt = gr.JSON(show_label=False, max_height=None)
    return Result(status, live, cancel, song, audio, receipt)


def queue_takes(studio: Studio, count: int, until_end: bool, format: str, values: Sequence) -> str:
    """Queue one or several takes of a song, and return the first one's id."""
    with user_errors():
        return studio.songs.generate_takes(request_of(values), count, format, until_end=until_end)[0].id


def go_on(studio: Studio, id: str, second: str, values: Sequence) -> str:
    """Queue a song that continues another one with the values of `SongForm.fields`, and return its id."""
    with user_errors():
        request = request_of(values)
    return continue_song(studio, id, second, request)


def start_from(studio: Studio, track: str | None, second: str, values: Sequence) -> str:
    """Queue a song that goes on from a recording with the values of `SongForm.fields`, and return its id."""
    with user_errors():
        request = request_of(values)
    return continue_track(studio, track, second, request)


def request_of(values: Sequence) -> SongRequest:
    """The song that the values of `SongForm.fields` ask for. Raises InvalidInputError."""
    named = dict(zip(SONG, values, strict=True))
    texts = {
        "seed": parsed_seed(named["seed"]),
        "temperature": parsed_number(named["temperature"], "temperature"),
        "cfg_scale": parsed_number(named["cfg_scale"], "guidance"),
        "loudness_lufs": parsed_number(named["loudness_lufs"], "loudness"),
    }
    return SongRequest.of(named | texts | {"tags": joined(named["tags"])})


def joined(tags: Sequence[str]) -> str:
    """Return the tags as a request has them; those that were typed may have spaces around them, or commas within."""
    return ", ".join(comma_separated(",".join(tags)))


def parsed_seed(text: str) -> int | None:
    """None for an empty field. Raises InvalidInputError for what is no whole number."""
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInputError(f"The seed is {text!r}.", "Enter a whole number, or leave it empty.") from error


async def watch_song(studio: Studio, players: Players, id: str) -> AsyncIterator[tuple]:
    """Yield the outputs of `Result` whenever a song has changed, until it ends."""
    last = None
    while (song := await to_thread.run_sync(find_song, studio, id)) is not None:
        if song != last:
            yield result_values(studio, players, song)
        if song.status not in UNDER_WAY:
            return
        last = song
        await anyio.sleep(POLL_SEC)
    yield song_status(None), "", gr.update(visible=False), gr.update(visible=False), None, None


def result_values(studio: Studio, players: Players, song: Generation) -> tuple:
    """Return the values of `Result.outputs`."""
    under_way, is_done = song.status in UNDER_WAY, song.status == "completed"
    audio = served_file(studio.songs.path(song.id))["path"] if is_done else None
    live = json.dumps({"id": song.id, "url": players.live_url(song.id), "is_made": not under_way})
    shown = gr.update(visible=under_way), gr.update(visible=is_done)
    return song_status(song), live, *shown, audio, song.receipt


def cancel(studio: Studio, id: str) -> None:
    with user_errors():
        studio.songs.cancel(id)


def settings_of(studio: Studio, id: str) -> list:
    """Return the request of a song as values of the form."""
    with user_errors():
        return form_values(studio.songs.get(id))


def form_values(song: Generation) -> list:
    """Return the values of `SongForm.fields`."""
    request = song.request
    tags = comma_separated(request["tags"])
    prompt = [tags, request["lyrics"], request["duration_sec"], str(request["seed"])]
    sampling = [shown_number(request["temperature"]), request["topk"], shown_number(request["cfg_scale"])]
    loudness = shown_number(request.get("loudness_lufs"))  # songs of earlier releases have none
    shortest_sec = request.get("min_duration_sec", OF_EARLIER_RELEASES["min_duration_sec"])
    return [*prompt, *sampling, loudness, shortest_sec]
