"""Listeners that show nothing while they work."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

import gradio as gr
from gradio.context import get_blocks_context


class Quiet(TypedDict):
    show_progress: Literal["hidden"]
    show_progress_on: list[gr.components.Component]
    api_visibility: Literal["private"]


QUIET: Quiet = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
"""Arguments for the page's own listeners: no overlay, and no named endpoint.

Gradio 6.31 tells every output of every listener so far how far any of them is, hidden or not, and copies all that is
inside it: on this page that kept a core busy while anything was under way. An empty list leaves nothing to tell.
"""


class AsSent(Quiet):
    preprocess: Literal[False]


AS_SENT: AsSent = {**QUIET, "preprocess": False}
"""Arguments for listeners of fields whose choices change while the page is open.

Gradio 6.31 refuses a choice that was there when it was made and is gone by now, in words of its own. Left as it was
sent, it is told by what uses it.
"""


def follow_key(event: gr.events.Dependency) -> tuple[str, Any] | None:
    """Return a key for the one listener that follows a keyed one of a list; None for what follows any other.

    Without it, Gradio forgets the follower when the list is drawn anew, and a browser that is about to call it fails.
    """
    blocks = get_blocks_context()
    assert blocks is not None, "a page is being built"
    key = blocks.fns[event["id"]].key
    return None if key is None else ("after", key)


def render_list(
    inputs: Sequence[gr.components.Component] | None, triggers: Sequence[gr.events.EventListener]
) -> Callable:
    """A decorator for what draws a list again after any of `triggers`.

    One list at a time: in Gradio 6.31 two that are drawn at once change the same dict, and one of them fails.
    """
    return gr.render(inputs, triggers, show_progress="hidden", concurrency_id="lists", concurrency_limit=1)


def quieten_lists(page: gr.Blocks) -> None:
    """Set what cannot be given to `gr.render`: where its listeners show progress."""
    for listener in page.fns.values():
        if listener.renderable:
            listener.show_progress_on = []
