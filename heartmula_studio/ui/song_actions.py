"""What can be done with the finished song that is shown: download it, make it again, decode it anew."""

from dataclasses import asdict, dataclass
from functools import partial

import gradio as gr

from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.generate.decode_settings import DECODE, DecodeSettings
from heartmula_studio.generate.request import MAX_SONG_SEC, SongRequest
from heartmula_studio.services.songs.prefixes import Continuation
from heartmula_studio.store.records import Generation
from heartmula_studio.studio import Studio
from heartmula_studio.ui.files import served_file
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.song_slider import loudness_field, setting_slider

FORMATS = ("wav", "flac", "mp3")


@dataclass(frozen=True)
class SongActions:
    """`downloads` hold the song in each of `FORMATS`; `again` puts its settings back into the form.

    `go_on` continues it at the second `from_sec`, or at its end, with what is in the form.
    """

    downloads: list[gr.DownloadButton]
    again: gr.Button
    from_sec: gr.Textbox
    go_on: gr.Button


def build_song_actions(context: PageContext) -> SongActions:
    """Build the actions, all but what `again` does."""
    with gr.Row():
        downloads = [gr.DownloadButton(f"Download {format.upper()}", size="sm", min_width=130) for format in FORMATS]
        again = gr.Button("Continue with the same seed", size="sm")
    with gr.Accordion("Continue it", open=False):
        from_sec = gr.Textbox(
            label="From second", info="Until there it stays. Leave it empty for its end.", max_lines=1
        )
        go_on = gr.Button("Continue with the tags, lyrics and settings above", size="sm")
    build_sound(context)
    return SongActions(downloads, again, from_sec, go_on)


def build_sound(context: PageContext) -> None:
    """Build what turns the song's codes into sound anew."""
    with gr.Accordion("Decode it anew, from the same codes", open=False):
        with gr.Row():
            steps = setting_slider(DECODE["decode_steps"], "Decoding steps", step=1)
            guidance = setting_slider(DECODE["decode_guidance"], "Decoding guidance", step=0.05)
            loudness = loudness_field("Empty: as in this song.")
        start = gr.Button("Decode anew", size="sm")
    values = [context.song_id, steps, guidance, loudness]
    decoded = start.click(partial(decode, context.studio), values, context.song_id, **QUIET)
    context.refresh_after(decoded)


def decode(studio: Studio, id: str, steps: int, guidance: float, loudness_lufs: float | None) -> str:
    """Queue a song's sound anew, and return the new song's id."""
    with user_errors():
        settings, format = DecodeSettings(int(steps), float(guidance)), studio.songs.get(id).format
        return studio.songs.decode(id, settings, format, loudness_lufs).id


def continue_song(studio: Studio, id: str, second: str, request: SongRequest) -> str:
    """Queue a song that goes on from another one for as long as the request lasts, and return its id."""
    with user_errors():
        song, from_sec = studio.songs.get(id), parsed_second(second)
        start_sec = (song.duration_sec or 0) if from_sec is None else from_sec
        changes = asdict(request) | {"duration_sec": min(start_sec + request.duration_sec, MAX_SONG_SEC)}
        return studio.songs.continue_song(id, Continuation(changes, song.format), from_sec).id


def parsed_second(text: str) -> float | None:
    """None for an empty field. Raises InvalidInputError for what is no number."""
    if not text.strip():
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError as error:
        raise InvalidInputError(f"The second is {text!r}.", "Give a number such as 12.5, or nothing.") from error


def replay(studio: Studio, id: str) -> str:
    """Queue a song by the receipt of one that is there, and return the new song's id."""
    with user_errors():
        return studio.songs.replay(studio.songs.receipt(id), studio.songs.get(id).format).id


def find_song(studio: Studio, id: str) -> Generation | None:
    """Return a song that a browser remembers, or None when it was deleted."""
    if not id:
        return None
    try:
        return studio.songs.get(id)
    except NotFoundError:
        return None


def song_files(studio: Studio, id: str) -> list:
    """Return the finished song in every format, for the buttons."""
    song = find_song(studio, id)
    if song is None or song.status != "completed":
        return [None] * len(FORMATS)
    with user_errors():
        return [served_file(studio.songs.path(id, format))["path"] for format in FORMATS]
