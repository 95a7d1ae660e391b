"""A job's ladder as `ladder.js` draws it: rungs with their songs, figures in words, and blind tests. Pure functions."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from heartmula_studio.store.views import Audition, LadderView, PreviewSong, Rung
from heartmula_studio.ui import html

Word = tuple[Literal["good", "plain", "warning"], str]
SoundOf = Callable[[int, int], str]  # step and number of a song → address

BASE = "Base"
QUESTIONS = {"told": "Style or base?", "preferred": "Which do you prefer?"}
ASKED = {"told": "Which one is in your style?", "preferred": "Which one do you prefer?"}
FIRST_RUNG = "The first rung is being made. The style is saved at set steps, each with the same few songs to compare."
ALARMS = {
    "overfitting": "Alarm: the loss on the held-out song is past its lowest (overfitting).",
    "diverging": "Alarm: the loss is rising (diverging). Lower the learning rate.",
}


def ladder_value(ladder: LadderView, auditions: Sequence[dict[str, Any]], sound_of: SoundOf) -> dict[str, Any]:
    """Return what `ladder.js` draws, sent to it by `ladder_text`. auditions: of `audition_value`."""
    songs = {song.number: song for song in shown_songs(ladder.rungs)}
    return {
        "job": ladder.job_id,
        "reason": ladder.reason or FIRST_RUNG,
        "recommended_step": ladder.recommended_step,
        "songs": [song_line(songs[number]) for number in sorted(songs)],
        "rungs": [rung_value(rung, sorted(songs), sound_of) for rung in ladder.rungs],
        "questions": list(QUESTIONS.items()),
        "auditions": list(auditions),
    }


def ladder_text(value: Mapping[str, Any] | None) -> str:
    """Return a ladder as it is sent to the browser, "" for none.

    JSON in a text: what a generator yields next, Gradio 6.31 writes into the object that it has sent before, and that
    may not be drawn yet.
    """
    return "" if value is None else json.dumps(value)


def shown_songs(rungs: Sequence[Rung]) -> list[PreviewSong]:
    """Return what rungs have; until one has all its songs, what any has. The base may have more, as a yardstick."""
    whole = [song for rung in rungs if rung.figures and not rung.is_base for song in rung.previews]
    return whole or [song for rung in rungs for song in rung.previews]


def song_line(song: PreviewSong) -> str:
    """ "Song 1: techno, fast · seed 1"."""
    tags = ", ".join(tag.strip() for tag in song.tags.split(","))
    return f"Song {song.number + 1}: {tags or 'without tags'} · seed {song.seed}"


def rung_value(rung: Rung, numbers: Sequence[int], sound_of: SoundOf) -> dict[str, Any]:
    """Return one row of the grid; `numbers` are those of all songs, its columns."""
    there = {song.number for song in rung.previews}
    return {
        "step": rung.step,
        "title": rung_title(rung.step),
        "is_base": rung.is_base,
        "is_recommended": rung.recommended,
        "starred": rung.starred,
        "badges": badges(rung),
        "words": rung_words(rung),
        "sounds": [sound_of(rung.step, number) if number in there else None for number in numbers],
        "can_be_tested": bool(there) and not rung.is_base,
    }


def rung_title(step: int) -> str:
    return f"Step {step:,}" if step else BASE


def badges(rung: Rung) -> list[tuple[str, str]]:
    """Return kind and text of each badge."""
    found = [("recommended", "Recommended")] if rung.recommended else []
    return [*found, ("kept", "In your styles")] if rung.checkpoint_id else found


def rung_words(rung: Rung) -> list[Word]:
    """Return what the figures say, a sentence each, what matters to the ear first."""
    if rung.is_base:
        return [("plain", "Every rung is compared with this.")]
    figures = rung.figures
    said = [audible_words(figures), copy_words(figures), ending_words(figures), loss_words(figures)]
    return [words for words in said if words] or [("plain", "Not measured yet.")]


def audible_words(figures: Mapping[str, Any]) -> Word | None:
    """Whether the songs differ from the base's, and how near they are to the tracks."""
    audible, nearness = figures.get("is_audible"), figures.get("nearness")
    if audible is None:
        return None
    if not audible:
        return (
            "warning",
            "Not audible yet: its songs differ from the base's no more than the base's do from each other.",
        )
    if nearness is None:
        return "good", "Audible: its songs sound different from the base's."
    way = max(0, min(100, round(100 * nearness)))
    return "good", f"Audible: {way} % of the way from the base's songs to your tracks."


def copy_words(figures: Mapping[str, Any]) -> Word | None:
    """Where a song goes on as a track does, if it does; else which track is nearest."""
    track, copied, usual = (figures.get(name) for name in ("copied_track", "copied_changes", "copy_yardstick"))
    if track is None:
        return None
    where = f"{track} at {html.duration(figures.get('copied_sec') or 0)}"
    if not figures.get("is_near_copy"):
        return "plain", f"Nothing copied. Nearest track: {where}."
    beside = "" if None in (copied, usual) else f" ({copied} changes in the same order; two real songs share {usual})"
    return "warning", f"Near-copy of {where}{beside}. Listen to that place."


def ending_words(figures: Mapping[str, Any]) -> Word | None:
    """How many songs end by themselves, beside the base's."""
    ended, before = figures.get("ended_share"), figures.get("base_ended_share")
    if ended is None:
        return None
    beside = "" if before is None else f" (base: {share(before)})"
    return "plain", f"Songs that end by themselves: {share(ended)}{beside}."


def loss_words(figures: Mapping[str, Any]) -> Word | None:
    """The held-out loss: an alarm where there is one, else a line beside the base's."""
    if alarm := figures.get("alarm"):
        return "warning", ALARMS[alarm]
    loss, before = figures.get("held_out_loss"), figures.get("base_held_out_loss")
    if loss is None or before is None:
        return None
    return "plain", f"Held-out loss {loss:.4f} (base: {before:.4f}); no alarm."


def has_warning(ladder: Mapping[str, Any] | None) -> bool:
    """Whether anything speaks against the recommended rung."""
    rungs = ladder["rungs"] if ladder else ()
    return any(kind == "warning" for rung in rungs if rung["is_recommended"] for kind, _ in rung["words"])


def share(value: float) -> str:
    return {0.0: "none", 1.0: "all"}.get(value, f"{value:.0%}")


def audition_value(audition: Audition, sound_of: Callable[[int, Literal["a", "b"]], str]) -> dict[str, Any]:
    """Return a blind test as `ladder.js` draws it, with the sounds of the trials that are still to be voted on."""
    return {
        "id": audition.id,
        "sentence": audition.result.sentence if audition.result else "",
        "about": f"{rung_title(audition.step)}, {html.when(audition.created_at)}",
        "ask": ASKED[audition.question],
        "trials": [
            {"number": number, "choice": trial.choice}
            | ({} if trial.choice else {"a": sound_of(number, "a"), "b": sound_of(number, "b")})
            for number, trial in enumerate(audition.trials)
        ],
    }
