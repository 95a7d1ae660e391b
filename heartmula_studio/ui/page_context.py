"""Selection, navigation and errors that the tabs of the page share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from heartmula_studio.errors import InvalidInputError, NotFoundError, StudioError
from heartmula_studio.files.public_text import public
from heartmula_studio.store.records import Dataset
from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import Changes
from heartmula_studio.ui.players import Players
from heartmula_studio.ui.quiet import QUIET, follow_key

# Every server knows it: what a browser remembers must outlive a restart, and it is no secret.
STORAGE_SECRET = "heartmula-studio"


def keyed(key: str) -> dict:
    """Return arguments for buttons in a rendered list: a button that is being pressed survives a redraw."""
    return {"key": key, "preserved_by_key": []}


@dataclass(frozen=True)
class PageContext:
    """`dataset_id`, `job_id` and `song_id` are what is selected, "" for nothing; the browser remembers them."""

    studio: Studio
    players: Players
    changes: Changes
    dataset_id: gr.State
    job_id: gr.State
    song_id: gr.State
    views: gr.Tabs
    tabs: gr.Tabs
    start_from: gr.Dropdown  # the style to train further, under Training; "" for the base

    def open_tab_on(self, event: Callable[..., gr.events.Dependency], tab: str) -> None:
        """Open a tab of the Training Studio at an event."""
        event(lambda: (gr.Tabs(selected="studio"), gr.Tabs(selected=tab)), outputs=[self.views, self.tabs], **QUIET)

    def open_tab_after(self, event: gr.events.Dependency, tab: str) -> None:
        """Open a tab of the Training Studio when an event has succeeded."""
        self.open_tab_on(partial(event.success, key=follow_key(event)), tab)


def follow_choice(
    choice: gr.State,
    follow: Callable[[str], Any],
    clear: Callable[[], Any],
    outputs: Sequence[gr.blocks.Block],
    following: Sequence[gr.events.Dependency],
) -> None:
    """Clear `outputs` when another record is chosen, and go on with what `follow`, a generator, says of that one.

    following: events that follow the record before; what these yield would still be shown.
    """
    cleared = choice.change(clear, outputs=outputs, cancels=list(following), **QUIET)
    followed = cleared.then(follow, choice, outputs, **QUIET)
    choice.change(None, cancels=[followed], **QUIET)


def remembered_choice(key: str) -> gr.State:
    """A state, "" at first, that the browser keeps under `key`.

    Nobody else listens to the browser's own state. Gradio 6.31 answers a change that came while a listener was busy by
    calling all listeners of a component's event again, so that two of them keep each other busy for ever; those of a
    `State` are called one by one.
    """
    choice = gr.State("")
    kept = gr.BrowserState("", storage_key=f"heartmula-{key}", secret=STORAGE_SECRET)
    choice.change(lambda chosen: chosen, choice, kept, **QUIET)
    kept.change(recalled_choice, [kept, choice], choice, **QUIET)
    return choice


def recalled_choice(recalled: str, chosen: str) -> Any:
    """Return what the browser remembers where nothing is chosen yet; a choice of this moment is not written over."""
    return recalled if recalled and not chosen else gr.skip()


def find_dataset(studio: Studio, id: str) -> Dataset | None:
    """Return a dataset that a browser remembers, or None when it was deleted."""
    if not id:
        return None
    try:
        return studio.datasets.get(id)
    except NotFoundError:
        return None


@contextmanager
def user_errors(shown: Callable[[str], str] = escape) -> Iterator[None]:
    """Show a StudioError in the corner of the page. Its text may quote a person, and toasts are HTML.

    A client that reads the text as it is takes `str` for `shown`, and is told the error's code.
    """
    try:
        yield
    except StudioError as error:
        title = error.code if shown is str else in_words(error.code)
        raise gr.Error(shown(public(str(error))), title=title, print_exception=False) from error


def in_words(code: str) -> str:
    """ "not_found" → "Not found"."""
    return escape(code.replace("_", " ").capitalize())


def comma_separated(text: str) -> list[str]:
    """The tags or styles in a field."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parsed_number(text: str | None, what: str) -> float | None:
    """Return the number in a field, None for an empty one, or one that was never shown.

    Raises InvalidInputError for what is none.
    """
    if text is None or not text.strip():
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError as error:
        raise InvalidInputError(
            f"The {what} is {text!r}.", "Enter a number such as 12.5, or leave the field empty."
        ) from error
