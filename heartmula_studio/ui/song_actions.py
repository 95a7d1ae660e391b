"""What can be done with the finished song that is shown: download it, make it again, decode it anew."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.generate.decode_settings import DECODE, DecodeSettings
from heartmula_studio.generate.request import SongRequest
from heartmula_studio.services.songs.history import song_title
from heartmula_studio.services.songs.prefixes import Continuation
from heartmula_studio.store.names import MAX_NAME_CHARS
from heartmula_studio.store.records import ACTIVE_STYLE, Generation, SongFormat
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.files import SAVE_FILE, served_copy
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.page_context import PageContext, parsed_number, user_errors
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.song_slider import loudness_field, optional_number, setting_slider

FORMATS: dict[SongFormat, str] = {
    "wav": "WAV",
    "wav24": "WAV, 24 bits",
    "flac": "FLAC",
    "mp3": "MP3",
    "opus": "Opus",
}
"""Words for `store.generations.FORMATS`, in the order of the page."""


@dataclass(frozen=True)
class SongActions:
    """`again` puts a song's settings back into the form; `title` is what it is called.

    `go_on` continues it at the second `from_sec`, or at its end, with what is in the form.
    """

    title: gr.Textbox
    again: gr.Button
    from_sec: gr.Textbox
    go_on: gr.Button


def build_song_actions(context: PageContext) -> SongActions:
    """Build the actions, all but what `again` and `go_on` do."""
    title = build_title(context)
    build_cover(context)
    build_download(context)
    with gr.Row(elem_classes=["actions"]):
        alike = gr.Button("More like this", size="sm", min_width=110)
        again = gr.Button("Use its settings and seed", size="sm", min_width=110)
    alike.click(partial(another_seed, context.studio), context.song_id, context.song_id, **QUIET)
    with gr.Accordion("Continue this song", open=FOLDED):
        from_sec = gr.Textbox(
            label="From second",
            info="It stays as it is up to there. Leave it empty to continue at its end.",
            max_lines=1,
        )
        go_on = gr.Button("Continue with the tags, lyrics and settings above", size="sm")
    build_remaking(context)
    build_sound(context)
    return SongActions(title, again, from_sec, go_on)


def build_title(context: PageContext) -> gr.Textbox:
    """Build the field of the song's title, which is kept when it is left."""
    with gr.Row(elem_classes=["field-row"]):
        title = gr.Textbox(label="Title", max_lines=1, max_length=MAX_NAME_CHARS, scale=3)
        save = gr.Button("Rename", min_width=90)
    presses = [save.click, title.submit]
    gr.on(presses, partial(rename, context.studio), [context.song_id, title], **QUIET)
    return title


def build_cover(context: PageContext) -> None:
    """Build what shows the song's cover, and gives it another one."""
    studio = context.studio
    with gr.Row(elem_classes=["field-row"]):
        image = gr.HTML()
        choose = gr.UploadButton("Choose a cover (JPEG or PNG)", file_types=["image"], size="sm", min_width=200)
        remove = gr.Button("Remove the cover", size="sm", min_width=140, visible=False)
    choose.upload(partial(set_cover, studio), [context.song_id, choose], choose, **QUIET)
    remove.click(partial(set_cover, studio), context.song_id, choose, **QUIET)
    gr.on(
        on_change(context.changes.songs, context.song_id), partial(shown_cover, context), context.song_id,
        [image, remove], **QUIET,
    )  # fmt: skip


def set_cover(studio: Studio, id: str, path: str | None = None) -> None:
    """Give the song that is shown another cover, none without a path, and empty the button."""
    with user_errors():
        studio.songs.set_cover(id, Path(path) if path else None)


def shown_cover(context: PageContext, id: str) -> tuple[str, dict]:
    """Return the cover of the song that is shown, and whether it can be taken away."""
    song = find_song(context.studio, id)
    if song is None or not song.cover:
        return "", gr.update(visible=False)
    url = context.players.url(context.studio.songs.cover_path(id))
    return html.cover(url, "song-cover"), gr.update(visible=True)


def build_download(context: PageContext) -> None:
    """Build what gives the song out in a format; it is made when it is asked for."""
    file = gr.DownloadButton(visible=False)
    with gr.Row(elem_classes=["field-row"]):
        format = format_field()
        download = gr.Button("Download")
    made = download.click(
        partial(song_file, context.studio), [context.song_id, format], file,
        show_progress_on=[format], api_visibility="private",
    )  # fmt: skip
    made.success(None, file, js=SAVE_FILE, api_visibility="private")


def format_field(**more: Any) -> gr.Dropdown:
    choices = [(words, format) for format, words in FORMATS.items()]
    return gr.Dropdown(choices, value="wav", label="Format", interactive=True, **more)


def build_remaking(context: PageContext) -> None:
    """Build what remakes a part of the song, and leaves the rest as it is."""
    with gr.Accordion("Remake a part", open=FOLDED):
        with gr.Row():
            start_info = "Leave it empty to begin at the start."
            from_sec = gr.Textbox(label="Part from second", info=start_info, max_lines=1, min_width=140)
            to_sec = gr.Textbox(label="Part to second", info="The rest stays as it is.", max_lines=1, min_width=140)
        start = gr.Button("Remake this part with a new seed", size="sm")
    values = [context.song_id, from_sec, to_sec]
    start.click(partial(remake_part, context.studio), values, context.song_id, **QUIET)


def build_sound(context: PageContext) -> None:
    """Build what turns the song's codes into sound anew."""
    with gr.Accordion("Decode again, from the same codes", open=FOLDED):
        with gr.Row():
            steps = setting_slider(DECODE["decode_steps"], "Decoding steps", step=1)
            guidance = optional_number("Decoding guidance", "Empty: what suits the codec. From 1 to 10.")
            loudness = loudness_field("Empty: as in this song.")
        start = gr.Button("Decode again", size="sm")
    values = [context.song_id, steps, guidance, loudness]
    start.click(partial(decode, context.studio), values, context.song_id, **QUIET)


def decode(studio: Studio, id: str, steps: int, guidance: str, loudness: str) -> str:
    """Queue a song's sound anew, and return the new song's id."""
    with user_errors():
        settings = DecodeSettings(int(steps), parsed_number(guidance, "decoding guidance"))
        format = studio.songs.get(id).format
        return studio.songs.decode(id, settings, format, parsed_number(loudness, "loudness")).id


def continue_song(studio: Studio, id: str, second: str, request: SongRequest) -> str:
    """Queue a song that goes on from another one for as long as the request lasts, and return its id."""
    with user_errors():
        wishes = Continuation.by(request, studio.songs.get(id).format)
        return studio.songs.continue_song(id, wishes, parsed_number(second, "second")).id


def remake_part(studio: Studio, id: str, first: str, last: str) -> str:
    """Queue a song of which only a part is remade, in the style that it was asked for in; return its id."""
    with user_errors():
        from_sec, to_sec = (parsed_number(second, "second") for second in (first, last))
        if to_sec is None:
            raise InvalidInputError("The part has no end.", "Enter the second where it ends.")
        song = studio.songs.get(id)
        style, strength = (ACTIVE_STYLE, None) if song.styles else (song.style, song.style_strength)
        wishes = Continuation(format=song.format, style=style, strength=strength)
        return studio.songs.continue_song(id, wishes, from_sec, to_sec).id


def another_seed(studio: Studio, id: str) -> str:
    """Queue a song again with a new seed, and return the new song's id."""
    with user_errors():
        return studio.songs.try_another_seed(id).id


def find_song(studio: Studio, id: str) -> Generation | None:
    """Return a song that a browser remembers, or None when it was deleted."""
    if not id:
        return None
    try:
        return studio.songs.get(id)
    except NotFoundError:
        return None


def song_file(studio: Studio, id: str, format: str) -> str:
    """Return the finished song in a format, under its title, where a browser can fetch it."""
    with user_errors():
        return served_copy(studio.songs.path(id, format), studio.songs.filename(id, format))["path"]


def rename(studio: Studio, id: str, title: str) -> None:
    with user_errors():
        studio.songs.rename(id, title)


def shown_title(studio: Studio, id: str) -> str:
    """Return what the song is called that is shown."""
    song = find_song(studio, id)
    return song_title(song) if song else ""
