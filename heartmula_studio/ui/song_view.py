"""A song that was asked for, in the words of the page."""

from collections.abc import Mapping
from datetime import UTC, datetime

from heartmula_studio.services.songs.history import styles_of
from heartmula_studio.store.records import UNDER_WAY, Generation
from heartmula_studio.ui import html

WORDS = {
    "queued": "Waiting for its turn.",
    "completed": "Done.",
    "cancelled": "Cancelled.",
}


def song_status(song: Generation | None) -> str:
    """HTML: how far it is, or how it ended."""
    if song is None:
        return html.empty("🎧", "Your song appears here", "Choose a few tags, and press Generate.")
    if song.error and song.status == "failed":
        return html.notice("error", song.error.message, song.error.hint)
    if song.audible is False:
        return html.notice("warning", "Nothing can be heard.", song.message)
    if song.replay and song.replay.said:
        return html.notice("success" if song.replay.is_same else "warning", "Made again.", song.replay.said)
    if song.status == "running":
        return html.progress(song.progress, f"{song.progress:.0f} %. {song.message}")
    message = song.message or place_words(song) or WORDS.get(song.status, "")
    return f'<p>{html.badge(song.status)} <span class="hint">{html.escape(message)}</span></p>'


def place_words(song: Generation) -> str:
    """Return where a song stands in line, and about how long it waits; "" for one that does not wait."""
    if not song.queue_position:
        return ""
    place = "Next in line" if song.queue_position == 1 else f"Number {song.queue_position} in line"
    if song.expected_at is None:
        return f"{place}."
    wait = datetime.fromisoformat(song.expected_at) - datetime.now(UTC)
    return f"{place}: its turn comes in about {html.time_left(max(0.0, wait.total_seconds()))}."


def song_badges(song: Generation) -> list[str]:
    """Return what is to be known of a song at a glance; that it is finished goes without saying."""
    status = [html.badge(song.status)] * (song.status != "completed")
    marks = [html.badge("inaudible")] * (song.audible is False) + [html.badge("starred")] * song.starred
    return [*status, *marks]


def song_lines(song: Generation, names: Mapping[str, str]) -> list[str]:
    """Return lines with length, seed, styles and time of a song; `names` are those of the styles that are there."""
    length = html.duration(song.duration_sec or song.request.get("duration_sec", 0))
    facts = f"{length} · seed {song.request.get('seed', '?')} · {style_words(song, names)}"
    return [facts, " · ".join([html.when(song.created_at), *origin_words(song)])]


def take_lines(take: Generation) -> list[str]:
    """Return lines with length and seed of a take, and what is to be said of it."""
    length = html.duration(take.duration_sec or take.request.get("duration_sec", 0))
    return [f"{length} · seed {take.request.get('seed', '?')}", "" if take.status in UNDER_WAY else take.message]


def origin_words(song: Generation) -> list[str]:
    """Return whether a song was made from another one, and what came of it."""
    if song.continues and song.to_sec is not None:
        return [f"remakes {html.duration(song.from_sec or 0)} to {html.duration(song.to_sec)} of another song"]
    if song.continues:
        return [f"continues another song from {html.duration(song.from_sec or 0)}"]
    if song.decoded_from:
        return ["decoded again"]
    if song.replay is None:
        return []
    words = {True: "the same, bit for bit", False: "not the same", None: ""}[song.replay.is_same]
    return [f"made again{words and f', {words}'}"]


def style_words(song: Generation, names: Mapping[str, str]) -> str:
    """ "Style Dawn × 0.5 + Night × 1"."""
    used = [f"{names.get(id, 'that was deleted')} × {strength:g}" for id, strength in styles_of(song)]
    return f"Style {' + '.join(used)}" if used else "Base model"
