"""📊 Jobs: training jobs as cards, and the progress of the selected one."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import anyio
import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import NotFoundError
from heartmula_studio.store.records import UNDER_WAY, Checkpoint, Job
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.job_view import LOG_LINES, JobView, job_card, job_view
from heartmula_studio.ui.ladder import Value, build_ladder, connect_ladder, read_ladder
from heartmula_studio.ui.page_context import PageContext, keyed, user_errors
from heartmula_studio.ui.players import Players
from heartmula_studio.ui.quiet import QUIET, render_list

POLL_SEC = 0.7
PAUSE_FACTOR = 10  # a long curve takes long to draw: wait this many times as long before reading again
SHOWN_AT_FIRST = 8
FIRST_STEP = "Choose a dataset and press Start training. Progress and loss appear here."


@dataclass(frozen=True)
class JobPane:
    """The components that show the selected job, named as in `JobView`."""

    heading: gr.HTML
    notices: gr.HTML
    numbers: gr.HTML
    ladder: gr.HTML
    chart: gr.HTML
    log: gr.HTML
    stop: gr.Button
    cancel: gr.Button
    resume: gr.Button
    clone: gr.Button
    delete: gr.Button
    done: gr.Row
    activate: gr.Button

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        return list(vars(self).values())


PLACES = 3  # outputs before those of the pane: which job is shown, and whether there is any
TEXTS = ("heading", "notices", "numbers", "ladder", "chart", "log")  # in the order of the pane
LADDER_EVENTS = ("rung", "preview", "previews_skipped", "figures", "eval")
BUTTONS = ("stop", "cancel", "resume", "clone", "delete")


class LatestOnly:
    """Lets one generator of a page go on: the one that was started last.

    Gradio's own `cancels` misses an event that is being sent, and the browser then complains of it.
    """

    def __init__(self) -> None:
        self.newest = 0

    def start(self) -> int:
        """Return a number, which is `newest` until another generator is started."""
        self.newest += 1
        return self.newest


def build_jobs(context: PageContext, opened: gr.events.EventListener) -> None:
    shown = gr.State("")  # the id of the job in the pane
    with gr.Column(elem_classes=["glass"], visible=False) as nothing:
        gr.HTML(html.empty("📊", "No training yet", FIRST_STEP))
        to_training = gr.Button("Go to Training", variant="primary")
    context.open_tab_on(to_training.click, "training")
    with gr.Row(visible=False) as some:
        with gr.Column(scale=2, min_width=280):
            _build_cards(context, shown)
        with gr.Column(scale=5, min_width=300, elem_classes=["glass"]):
            pane, log_scale, open_models = _build_pane(context, shown)
    # Gradio loses some of what is sent to a tab that is not drawn yet: so once more when it is opened, and `places`
    # with everything that is sent.
    gr.on(
        [opened, *on_change(context.job_id, log_scale, context.changes.jobs, context.changes.checkpoints)],
        partial(watch_job, context.studio, context.players),
        inputs=[gr.State(LatestOnly()), context.job_id, shown, log_scale],
        outputs=[shown, nothing, some, *pane.outputs],
        concurrency_limit=None,
        trigger_mode="multiple",
        **QUIET,
    )
    _connect_buttons(context, pane, shown)
    connect_ladder(context, pane.ladder)
    context.open_tab_on(open_models.click, "models")


def _build_pane(context: PageContext, shown: gr.State) -> tuple[JobPane, gr.Checkbox, gr.Button]:
    heading, notices = gr.HTML(elem_classes=["announced"]), gr.HTML(elem_classes=["announced"])
    with gr.Row(visible=False) as done:
        activate = gr.Button("Activate", variant="primary", min_width=120)
        open_models = gr.Button("Open Models", min_width=120)
    numbers = gr.HTML()
    with gr.Row():
        stop = gr.Button("Stop and save", size="sm", min_width=110)
        cancel = gr.Button("Cancel", size="sm", min_width=80)
        resume = gr.Button("Resume", variant="primary", size="sm", min_width=80)
        clone = gr.Button("Clone…", size="sm", min_width=80)
        delete = gr.Button("🗑️ Delete", size="sm", min_width=80)
    _build_clone(context, clone, shown)
    _build_deletion(context, delete, shown)
    ladder = build_ladder()
    log_scale = gr.Checkbox(label="Log scale", container=False)
    chart, log = gr.HTML(), gr.HTML()
    pane = JobPane(heading, notices, numbers, ladder, chart, log, stop, cancel, resume, clone, delete, done, activate)
    return pane, log_scale, open_models


def _build_cards(context: PageContext, shown: gr.State) -> None:
    limit = gr.State(SHOWN_AT_FIRST)

    @render_list([context.job_id, shown, limit], on_change(context.changes.jobs, context.job_id, limit))
    def _(remembered: str, shown_id: str, most: int) -> None:
        jobs, selected = context.studio.jobs.list()[::-1], selected_id(context.studio, remembered, shown_id)
        with gr.Column(elem_classes=["cards", "strip"]):
            for job in jobs[:most]:
                _build_card(context, job, job.id == selected)
        if len(jobs) > most:
            more = gr.Button(f"Show all {len(jobs)}", size="sm", **keyed("show all jobs"))
            more.click(lambda: len(jobs), outputs=limit, key=more.key, **QUIET)


def _build_card(context: PageContext, job: Job, is_selected: bool) -> None:
    with gr.Column(elem_classes=["card", "selected"] if is_selected else ["card"]):
        gr.HTML(job_card(job))
        show = gr.Button("Selected" if is_selected else "Show", size="sm", **keyed(f"show {job.id}"))
    show.click(lambda: job.id, outputs=context.job_id, key=show.key, **QUIET)


def _connect_buttons(context: PageContext, pane: JobPane, shown: gr.State) -> None:
    studio = context.studio
    for button, action in (
        (pane.stop, lambda id: act(studio.jobs.stop, id, save=True)),
        (pane.cancel, lambda id: act(studio.jobs.stop, id, save=False)),
        (pane.resume, lambda id: act(studio.jobs.resume, id)),
    ):
        button.click(action, shown, **QUIET)
    pane.activate.click(
        lambda id: activate(studio, id), shown, show_progress_on=[pane.notices], api_visibility="private"
    )


def _build_clone(context: PageContext, opener: gr.Button, shown: gr.State) -> None:
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        gr.HTML("<h3>Clone with other settings</h3>")
        with gr.Row():
            epochs = gr.Number(label="Epochs", precision=0, min_width=110)
            learning_rate = gr.Number(label="Learning rate", step=0.00001, min_width=110)
            rank = gr.Number(label="LoRA rank", precision=0, min_width=110)
        with gr.Row():
            start = gr.Button("Start the clone", variant="primary", size="sm")
            close = gr.Button("Close", size="sm")
    fields = [epochs, learning_rate, rank]
    opener.click(lambda id: clone_form(context.studio, id), shown, [panel, *fields], **QUIET)
    start.click(
        lambda id, *values: clone(context.studio, id, *values),
        [shown, *fields],
        [context.job_id, panel],
        **QUIET,
    )
    gr.on([close.click, shown.change], lambda: gr.update(visible=False), outputs=panel, **QUIET)


def _build_deletion(context: PageContext, opener: gr.Button, shown: gr.State) -> None:
    with gr.Column(visible=False, elem_classes=["glass"]) as panel:
        gr.HTML(
            html.notice("warning", "Delete this job?", "Its log and curve are deleted. The style that it made stays.")
        )
        with gr.Row():
            confirm = gr.Button("Delete it", variant="stop", size="sm")
            keep = gr.Button("Keep it", size="sm")
    opener.click(lambda: gr.update(visible=True), outputs=panel, **QUIET)
    confirm.click(lambda id: delete(context.studio, id), shown, [context.job_id, panel], **QUIET)
    gr.on([keep.click, shown.change], lambda: gr.update(visible=False), outputs=panel, **QUIET)


# --- the selected job ------------------------------------------------------------------------------------------------


def selected_id(studio: Studio, remembered: str, shown: str) -> str:
    """Return the job that a browser remembers, else the one it shows, else the newest; "" without jobs."""
    ids = [job.id for job in studio.jobs.list()]
    return next((id for id in (remembered, shown, *reversed(ids)) if id in ids), "")


class JobReader:
    """Reads one job for one page, and only what has changed since."""

    def __init__(self, studio: Studio, players: Players, id: str, log_scale: bool):
        self._studio, self._players, self._id, self._log_scale = studio, players, id, log_scale
        self._log, self._log_offset = "", 0
        self._metrics: list[dict] = []
        self._job: Job | None = None
        self._ladder: Value | None = None
        self._ladder_stage: object = None

    def read(self) -> JobView:
        """Return the job as it is now. Raises NotFoundError when it was deleted."""
        job = self._studio.jobs.get(self._id)
        if job != self._job:
            self._job, self._metrics = job, self._studio.jobs.metrics(self._id)
        style = find_style(self._studio, job)
        return job_view(job, self._metrics, self._log_lines(), self._log_scale, style, self._read_ladder(job))

    def is_over(self) -> bool:
        """Whether the job, as it was last read, has ended."""
        return self._job is not None and self._job.status not in UNDER_WAY

    def _read_ladder(self, job: Job) -> Value | None:
        """The ladder, read again when the run has written of it or has ended."""
        stage = job.status, sum(event["event"] in LADDER_EVENTS for event in self._metrics)
        if stage != self._ladder_stage:
            self._ladder_stage, self._ladder = stage, read_ladder(self._studio, self._players, self._id)
        return self._ladder

    def _log_lines(self) -> list[str]:
        more = "begin"
        while more:
            more, self._log_offset = self._studio.jobs.logs(self._id, self._log_offset)
            self._log = "\n".join((self._log + more).split("\n")[-LOG_LINES - 1 :])
        return self._log.split("\n")


async def watch_job(
    studio: Studio, players: Players, latest: LatestOnly, remembered: str, shown: str, log_scale: bool
) -> AsyncIterator[list]:
    """Yield the outputs of the tab whenever the selected job has changed, until it ends or is watched anew.

    The last of them changes nothing. Gradio 6.31 sends it again when a generator has ended, and by then the page may
    show another job.
    """
    async for outputs in _job_outputs(studio, players, latest, remembered, shown, log_scale):
        yield outputs
    yield [gr.skip()] * (PLACES + len(JobPane.__annotations__))


async def _job_outputs(
    studio: Studio, players: Players, latest: LatestOnly, remembered: str, shown: str, log_scale: bool
) -> AsyncIterator[list]:
    number, id = latest.start(), selected_id(studio, remembered, shown)
    places = [id, gr.update(visible=not id), gr.update(visible=bool(id))]
    if not id:
        yield [*places, *[gr.skip()] * len(JobPane.__annotations__)]
    reader, last = JobReader(studio, players, id, log_scale), None
    while id:
        started = time.perf_counter()
        try:
            view = await to_thread.run_sync(reader.read)
        except NotFoundError:
            return
        if latest.newest != number:
            return
        if view != last:
            yield [*places, *updates(last, view)]
        if reader.is_over():
            return
        last = view
        await anyio.sleep(max(POLL_SEC, PAUSE_FACTOR * (time.perf_counter() - started)))


def updates(last: JobView | None, view: JobView) -> list:
    """Return updates for the pane; parts that have not changed are skipped."""
    texts = [getattr(view, part) for part in TEXTS]
    if last:
        texts = [gr.skip() if new == getattr(last, part) else new for part, new in zip(TEXTS, texts, strict=True)]
    if last and (last.actions, last.style) == (view.actions, view.style):
        return texts + [gr.skip()] * (len(BUTTONS) + 2)
    buttons = [gr.update(visible=action in view.actions) for action in BUTTONS]
    may_activate = view.style is not None and not view.style.is_active
    return [*texts, *buttons, gr.update(visible=view.style is not None), gr.update(visible=may_activate)]


def find_style(studio: Studio, job: Job) -> Checkpoint | None:
    """Return the checkpoint of a completed job; None when it was deleted."""
    if job.checkpoint_id is None:
        return None
    try:
        return studio.checkpoints.get(job.checkpoint_id)
    except NotFoundError:
        return None


# --- actions of the buttons ------------------------------------------------------------------------------------------


def act(action: Callable[..., object], id: str, **options: bool) -> None:
    with user_errors():
        action(id, **options)


def activate(studio: Studio, id: str) -> None:
    """Make every song from now on in the style that a job trained."""
    with user_errors():
        studio.checkpoints.activate(studio.jobs.get(id).checkpoint_id or "")
    gr.Info("Every song from now on has this style.", title="Activated")


def clone_form(studio: Studio, id: str) -> tuple:
    """Return the form with the job's own settings."""
    with user_errors():
        job = studio.jobs.get(id)
    rank = gr.update(value=job.lora_rank, visible=job.method == "lora")
    return gr.update(visible=True), job.epochs, job.learning_rate, rank


def clone(studio: Studio, id: str, epochs: int | None, learning_rate: float | None, rank: int | None) -> tuple:
    """Queue the job again with the changed settings; those that were not changed are not set."""
    with user_errors():
        job = studio.jobs.get(id)
        wanted = {"epochs": epochs, "learning_rate": learning_rate, "lora_rank": rank}
        changes = {name: value for name, value in wanted.items() if value != getattr(job, name)}
        return studio.jobs.clone(id, **changes).id, gr.update(visible=False)


def delete(studio: Studio, id: str) -> tuple:
    """Nothing is wrong where another page was quicker."""
    with user_errors(), suppress(NotFoundError):
        studio.jobs.delete(id)
    return "", gr.update(visible=False)
