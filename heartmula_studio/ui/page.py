"""The page: two views, Create and the Training Studio, with the named endpoints beside them."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from heartmula_studio.studio import Studio
from heartmula_studio.ui.changes import Changes
from heartmula_studio.ui.create import build_create
from heartmula_studio.ui.dataset import build_dataset
from heartmula_studio.ui.endpoints import add_endpoints
from heartmula_studio.ui.header import build_header
from heartmula_studio.ui.jobs import build_jobs
from heartmula_studio.ui.models import build_models
from heartmula_studio.ui.players import Players
from heartmula_studio.ui.quiet import quieten_lists
from heartmula_studio.ui.shared import Shared, remembered
from heartmula_studio.ui.training import build_training

CACHE_CHECK_SEC, CACHE_AGE_SEC = 3600, 86400
EVENTS_AT_ONCE = 32
QUEUE_LOOK_SEC = 0.05  # Gradio's own choice on Windows
# Given, because without it Gradio's queue holds 1 event on ZeroGPU, and an opening page asks for twenty at once.
QUEUE_SIZE = 1000


def create_ui(studio: Studio, players: Players) -> gr.Blocks:
    """Return the page with the named endpoints."""
    with gr.Blocks(
        title="HeartMuLa Training Studio",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(CACHE_CHECK_SEC, CACHE_AGE_SEC),
    ) as page:
        shared = Shared(
            studio,
            players,
            Changes.build(),
            dataset_id=remembered("dataset"),
            job_id=remembered("job"),
            song_id=remembered("song"),
            views=gr.Tabs(overflow_behavior="wrap", render=False),
            tabs=gr.Tabs(overflow_behavior="wrap", render=False),
        )
        build_header(shared)
        with placed(shared.views):
            with gr.Tab("🎵 Create", id="create"):
                build_create(shared)
            with gr.Tab("🎓 Training Studio", id="studio"):
                build_studio(shared)
        shared.changes.watch(studio, page)
        add_endpoints(studio)
    quieten_lists(page)
    page.queue(default_concurrency_limit=EVENTS_AT_ONCE, max_size=QUEUE_SIZE)
    # Gradio looks for events a thousand times in a second, which keeps a tenth of a core busy for nothing.
    page._queue.sleep_when_free = QUEUE_LOOK_SEC
    return page


def build_studio(shared: Shared) -> None:
    with placed(shared.tabs):
        with gr.Tab("📦 Dataset", id="dataset"):
            build_dataset(shared)
        with gr.Tab("⚙️ Training", id="training"):
            build_training(shared)
        with gr.Tab("📊 Jobs", id="jobs") as jobs:
            build_jobs(shared, opened=jobs.select)
        with gr.Tab("📦 Models", id="models"):
            build_models(shared)


@contextmanager
def placed(tabs: gr.Tabs) -> Iterator[None]:
    """Fill tabs that were made before: buttons in one tab lead to another one that comes later."""
    tabs.render()
    with tabs:
        yield
