"""The page: two views, Create and the Training Studio, with the named endpoints beside them."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from fastapi import Request
from gradio.block_function import BlockFunction
from gradio.data_classes import BlocksConfigDict, PredictBodyInternal
from gradio.route_utils import get_fn

from heartmula_studio.services.owners import CALLER
from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import Changes, EndedEvents
from heartmula_studio.ui.create import build_create
from heartmula_studio.ui.dataset import build_dataset
from heartmula_studio.ui.endpoints import add_endpoints
from heartmula_studio.ui.header import build_header
from heartmula_studio.ui.jobs import build_jobs
from heartmula_studio.ui.models import build_models
from heartmula_studio.ui.page_context import PageContext, remembered_choice
from heartmula_studio.ui.players import Players
from heartmula_studio.ui.quiet import quieten_lists
from heartmula_studio.ui.training import build_training

CACHE_CHECK_SEC, CACHE_AGE_SEC = 3600, 86400
EVENTS_AT_ONCE = 32
QUEUE_LOOK_SEC = 0.05  # Gradio's own choice on Windows
# Given, because without it Gradio's queue holds 1 event on ZeroGPU, and an opening page asks for twenty at once.
QUEUE_SIZE = 1000
GONE = "What you pressed has changed meanwhile. Look at it as it is now, and press it again."


class SteadyDict(dict):
    """A dict that others may add to while its values are looked through."""

    def values(self) -> Any:
        return dict(self).values()


class StudioPage(gr.Blocks):
    """Blocks whose named endpoints are left out of what a browser is sent; programs find them at /config and /info.

    They are a quarter of all components, and the code of Gradio 6.31 in the browser goes through the components one by
    one for each that an event reads or writes.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        # Each page that is open has a copy. Gradio 6.31 adds to it whenever a component that was updated gets a value,
        # and looks through it in a thread as it draws a list: such a list would not be drawn.
        self.blocks = SteadyDict(self.blocks)
        self.ended_events = EndedEvents()

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Fill in the defaults of what a program leaves out: its calls outlive parameters that are added later."""
        if block_fn.api_visibility == "public" and block_fn.fn is not None:
            left_out = list(inspect.signature(block_fn.fn).parameters.values())[len(inputs) :]
            if all(parameter.default is not parameter.empty for parameter in left_out):
                inputs += [parameter.default for parameter in left_out]
        super().validate_inputs(block_fn, inputs)

    async def call_function(
        self, block_fn: Any, processed_input: Any, iterator: Any = None, requests: Any = None, *others: Any
    ) -> Any:
        """Call what an event calls for whoever sent it, as its request said when it was let in; say when it ends."""
        request = requests[0] if isinstance(requests, list) else requests
        CALLER.set(request.request.scope.get(CALLER.name, "") if request and request.request else "")
        called: dict[str, Any] = {}
        try:
            called = await super().call_function(block_fn, processed_input, iterator, requests, *others)
        finally:
            if not called.get("is_generating"):
                self.ended_events.note()
        return called

    def get_config_file(self) -> BlocksConfigDict:
        config = super().get_config_file()
        of_programs = {part["id"] for part in config["components"] if part["type"] == "api"}
        endpoints = {event["id"] for event in config["dependencies"] if event["api_visibility"] == "public"}
        for page in config["page"].values():
            page["components"] = [id for id in page["components"] if id not in of_programs]
            page["dependencies"] = [id for id in page["dependencies"] if id not in endpoints]
            layout = page["layout"]
            layout["children"] = [
                part for part in layout["children"] if isinstance(part, int) or part["id"] not in of_programs
            ]
        return config


def create_ui(studio: Studio, players: Players) -> StudioPage:
    """Return the page with the named endpoints."""
    with StudioPage(
        title="HeartMuLa Training Studio",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(CACHE_CHECK_SEC, CACHE_AGE_SEC),
    ) as page:
        context = PageContext(
            studio,
            players,
            Changes.build(),
            dataset_id=remembered_choice("dataset"),
            job_id=remembered_choice("job"),
            song_id=remembered_choice("song"),
            views=gr.Tabs(overflow_behavior="wrap", render=False),
            tabs=gr.Tabs(overflow_behavior="wrap", render=False),
            start_from=gr.Dropdown([("The base model", "")], value="", label="Start from", render=False),
        )
        build_header(context)
        with rendered(context.views):
            with gr.Tab("🎵 Create", id="create"):
                build_create(context)
            with gr.Tab("🎓 Training Studio", id="studio"):
                build_studio(context)
        context.changes.watch(studio, page)
        add_endpoints(studio)
    quieten_lists(page)
    page.queue(default_concurrency_limit=EVENTS_AT_ONCE, max_size=QUEUE_SIZE)
    # Gradio looks for events a thousand times in a second, and for progress a hundred times, which keeps a tenth of a
    # core busy for nothing.
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = QUEUE_LOOK_SEC
    explain_late_presses(page)
    return page


def explain_late_presses(page: gr.Blocks) -> None:
    """Tell whoever presses what a list, drawn anew meanwhile, no longer holds; Gradio 6.31 answers with a fault."""
    push = page._queue.push

    async def push_known(body: PredictBodyInternal, request: Request, username: str | None) -> Any:
        try:
            get_fn(page, None, body)
        except KeyError:
            return False, GONE, "error"
        return await push(body, request, username)

    page._queue.push = push_known  # type: ignore[method-assign]  # there is no option


def build_studio(context: PageContext) -> None:
    with rendered(context.tabs):
        with gr.Tab("📦 Dataset", id="dataset"):
            build_dataset(context)
        with gr.Tab("⚙️ Training", id="training"):
            build_training(context)
        with gr.Tab("📊 Jobs", id="jobs") as jobs:
            build_jobs(context, opened=jobs.select)
        with gr.Tab("📦 Models", id="models"):
            build_models(context)


@contextmanager
def rendered(tabs: gr.Tabs) -> Iterator[None]:
    """Fill tabs that were built before: buttons in one tab open another one that comes later."""
    tabs.render()
    with tabs:
        yield
