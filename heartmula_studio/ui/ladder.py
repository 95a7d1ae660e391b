"""The ladder of the selected job: its rungs as they come, their songs side by side, and blind tests."""

from typing import Annotated, Any, Literal

import gradio as gr
from pydantic import Field
from pydantic.dataclasses import dataclass

from heartmula_studio.definition import Definition
from heartmula_studio.errors import NotFoundError
from heartmula_studio.store.views import Audition
from heartmula_studio.studio import Studio
from heartmula_studio.ui.files import SAVE_FILE, served_stream
from heartmula_studio.ui.ladder_view import audition_value, ladder_text, ladder_value
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.players import Players
from heartmula_studio.ui.quiet import QUIET
from heartmula_studio.ui.scripts import read_script
from heartmula_studio.ui.training import start_field

Value = dict[str, Any]


@dataclass(frozen=True)
class Pressed(Definition):
    """What `ladder.js` says was pressed."""

    job: Annotated[str, Field(max_length=200)]
    action: Literal["star", "activate", "keep", "audition", "vote", "download", "further"]
    step: int = 0
    starred: bool = False
    question: Literal["told", "preferred"] = "told"
    audition: Annotated[str, Field(max_length=200)] = ""
    trial: int = 0
    choice: Literal["a", "b"] = "a"


def build_ladder() -> gr.HTML:
    """Build the component; it draws what `ladder_text` makes of `read_ladder`, and nothing before."""
    return gr.HTML("", html_template="", js_on_load=read_script("switcher.js", "ladder.js"), apply_default_css=False)


def connect_ladder(context: PageContext, ladder: gr.HTML) -> None:
    """Do what is pressed in it."""
    download = gr.DownloadButton(visible=False)

    def act(event: gr.EventData) -> str:
        return press(context.studio, context.players, pressed(event))

    def train_further(event: gr.EventData) -> tuple[dict, str]:
        return further(context.studio, pressed(event))

    def save(event: gr.EventData) -> str:
        with user_errors():
            what = pressed(event)
            return served_stream(*context.studio.ladder.download(what.job, what.step))["path"]

    ladder.act(act, outputs=ladder, **QUIET)
    chosen = ladder.further(train_further, outputs=[context.start_from, context.dataset_id], **QUIET)
    context.open_tab_after(chosen, "training")
    ladder.download(save, outputs=download, **QUIET).success(None, download, js=SAVE_FILE, api_visibility="private")


def pressed(event: gr.EventData) -> Pressed:
    """Read an event of the browser. Raises gr.Error for anything that the page does not send."""
    with user_errors():
        return Pressed(**event._data)


def press(studio: Studio, players: Players, what: Pressed) -> str:
    """Do what was pressed, and return the ladder as it is then, for the browser."""
    with user_errors():
        if what.action == "star":
            studio.ladder.star(what.job, what.step, what.starred)
        elif what.action == "activate":
            studio.ladder.activate(what.job, what.step)
            gr.Info("Every song from now on has this style.", title="Activated")
        elif what.action == "keep":
            studio.ladder.keep(what.job, what.step)
            gr.Info("It is among your styles now, and stays there when this job is deleted.", title="Kept")
        elif what.action == "audition":
            studio.auditions.start(what.job, what.step, question=what.question)
        elif what.action == "vote":
            studio.auditions.vote(what.job, what.audition, what.trial, what.choice)
    return ladder_text(read_ladder(studio, players, what.job))


def further(studio: Studio, what: Pressed) -> tuple[dict, str]:
    """Keep a rung as a style, and return it as the choice to start from, with the dataset that it was trained on."""
    with user_errors():
        style = studio.ladder.keep(what.job, what.step)
        return start_field(studio, style.id), studio.jobs.get(what.job).dataset_id


def read_ladder(studio: Studio, players: Players, job_id: str) -> Value | None:
    """Return the value of a ladder; None where the job keeps no rungs, or not any more."""
    try:
        ladder = studio.ladder.get(job_id)
        if not any(rung.previews for rung in ladder.rungs) and len(ladder.rungs) < 2:
            return None
        tests = [shown(studio, players, audition) for audition in studio.auditions.list(job_id)]
        return ladder_value(
            ladder, tests, lambda step, number: players.url(studio.ladder.preview(job_id, step, number))
        )
    except NotFoundError:
        return None


def shown(studio: Studio, players: Players, audition: Audition) -> Value:
    def blind_sound(trial: int, side: Literal["a", "b"]) -> str:
        path = studio.auditions.audio(audition.job_id, audition.id, trial, side)
        return players.blind_url(path, f"{audition.id}/{trial}/{side}")

    return audition_value(audition, blind_sound)
