"""A training job as HTML. Pure functions of the job, its metrics and its log."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from heartmula_studio.files.wording import counted
from heartmula_studio.finetune.events import StartEvent, StepEvent, TrainingEvent, from_lines
from heartmula_studio.store.records import UNDER_WAY, Checkpoint, Job, Method
from heartmula_studio.ui import html
from heartmula_studio.ui.ladder_view import has_warning, ladder_text
from heartmula_studio.ui.loss_chart import LossPoints, loss_chart

Trend = Literal["falling", "constant", "rising"]
Action = Literal["stop", "cancel", "resume", "clone", "delete"]

METHODS: dict[Method, str] = {"lora": "⚡ LoRA", "full": "🔥 Full"}
PHASES = {
    "waiting": "Waiting",
    "tokenising": "Tokenizing the songs",
    "training": "Training",
    "saving": "Saving",
    None: "",
}
ACTIONS: dict[str, tuple[Action, ...]] = {
    "queued": ("cancel", "clone", "delete"),
    "running": ("stop", "cancel", "clone"),
    "completed": ("clone", "delete"),
    "failed": ("resume", "clone", "delete"),
    "cancelled": ("resume", "clone", "delete"),
    "interrupted": ("resume", "clone", "delete"),
}
LOG_LINES = 40
HALVES_STEPS = 40  # from this many steps on, two halves of them say something
FELL, ROSE = 0.995, 1.03  # within these times an earlier mean, a mean counts as the same
UNKNOWN = "–"
TREND_WORDS = {"constant": "The loss is constant", "rising": "The loss is rising"}


@dataclass(frozen=True)
class JobView:
    """The selected job in parts, of which only changed ones are sent again."""

    heading: str
    numbers: str
    notices: str
    ladder: str  # of `ladder_text`
    chart: str
    log: str
    actions: tuple[Action, ...]
    style: Checkpoint | None  # what a completed job made, while it is there


def job_view(
    job: Job,
    metrics: Iterable[Mapping[str, Any]],
    log_lines: Sequence[str],
    log_scale: bool,
    style: Checkpoint | None = None,
    ladder: Mapping[str, Any] | None = None,
) -> JobView:
    """`metrics`: as of `Studio.jobs.metrics`; `ladder`: as of `ladder_view.ladder_value`."""
    events = list(from_lines(metrics))
    return JobView(
        heading=heading(job),
        numbers=numbers(job),
        notices=notices(job, events, has_warning(ladder)),
        ladder=ladder_text(ladder),
        chart=loss_chart(LossPoints.of(events), log_scale),
        log=log_tail(log_lines),
        actions=ACTIONS[job.status],
        style=style,
    )


def heading(job: Job) -> str:
    settings = " · ".join(settings_of(job))
    return (
        f'<h2 class="card-title" dir="auto">{escape(job.dataset_name)}</h2>'
        f'<p>{html.badge(job.status)} <span class="hint">{escape(settings)}</span></p>'
    )


def settings_of(job: Job) -> list[str]:
    """Return the settings that tell one run from another."""
    rank = [f"rank {job.lora_rank}"] if job.method == "lora" else []
    return [METHODS[job.method], *rank, counted(job.epochs, "epoch"), f"learning rate {plain(job.learning_rate)}"]


def numbers(job: Job) -> str:
    """Return progress, loss and time left as HTML."""
    values = {
        "Progress": f"{job.progress:.2f} %",
        "Epoch": f"{job.epoch} of {job.epochs}",
        "Loss": loss_text(job.loss),
        "Held-out loss": loss_text(job.eval_loss),
        "Step": f"{job.step} of {job.total_steps}" if job.total_steps else UNKNOWN,
    }
    if job.status in UNDER_WAY:
        values["Time left"] = UNKNOWN if job.eta_sec is None else html.time_left(job.eta_sec)
    said = " · ".join(filter(None, (PHASES[job.phase], job.message)))
    bar = html.progress(job.progress, said or f"{job.progress:.2f} %") if job.status in UNDER_WAY else ""
    return bar + readings(values)


def notices(job: Job, events: Sequence[TrainingEvent], is_flawed: bool) -> str:
    """Return the outcome as HTML, with advice on the loss curve."""
    return ending(job, is_flawed) + tip(job, loss_trend(events))


def ending(job: Job, is_flawed: bool) -> str:
    if job.error:
        return html.notice("error", job.error.message, job.error.hint)
    if job.status == "completed":
        return completed(job, is_flawed)
    if job.status in ("interrupted", "cancelled", "failed"):
        return html.notice("warning", job.message or job.status.capitalize())
    return ""


def completed(job: Job, is_flawed: bool) -> str:
    """Return whether the style can be heard. That the loss fell says only that something was learnt.

    is_flawed: something speaks against the rung that it was made from.
    """
    if job.is_audible is None:
        return html.notice("info", "The training has finished.", job.message)
    return html.notice("success" if job.is_audible and not is_flawed else "warning", job.message)


def tip(job: Job, trend: Trend | None) -> str:
    """Return advice for a loss that does not fall."""
    if trend not in TREND_WORDS:
        return ""
    lower = f"Lower the learning rate, to {plain(job.learning_rate / 2)} for example: "
    how = "stop this job and clone it." if job.status in UNDER_WAY else "clone this job."
    return html.notice("warning", f"{TREND_WORDS[trend]}.", lower + how)


def loss_trend(events: Sequence[TrainingEvent]) -> Trend | None:
    """Tell where the training loss is heading; None while too little was measured.

    Steps hear different songs, so only means over the same songs are compared: those of whole epochs, or of the two
    halves of a long run whose second epoch has not ended. "rising": the last mean is over 3 % above the lowest before
    it; "constant": it is not even 0.5 % below the first; else "falling".
    """
    means = [statistics.fmean(losses) for losses in comparable(events)]
    if len(means) < 2:
        return None
    *before, last = means
    if last > ROSE * min(before):
        return "rising"
    return "falling" if last < FELL * before[0] else "constant"


def comparable(events: Sequence[TrainingEvent]) -> list[list[float]]:
    """The losses of whole epochs, or of two halves."""
    steps_per_epoch = next((event.steps_per_epoch for event in events if isinstance(event, StartEvent)), None)
    steps = [event for event in events if isinstance(event, StepEvent)]
    epochs: dict[int, list[float]] = {}
    for step in steps:
        epochs.setdefault(step.epoch, []).append(step.loss)
    whole = [losses for losses in epochs.values() if len(losses) == steps_per_epoch]
    if len(whole) >= 2 or len(steps) < HALVES_STEPS:
        return whole
    losses, middle = [step.loss for step in steps], len(steps) // 2
    return [losses[:middle], losses[middle:]]


def log_tail(lines: Sequence[str]) -> str:
    """The end of the log, scrolled to its last line: the outer box is filled from below."""
    text = escape("\n".join(lines[-LOG_LINES:])) or "Nothing yet."
    return (
        '<h3>Log</h3><div class="log" tabindex="0" role="region" aria-label="End of the log" '
        f'style="display:flex;flex-direction:column-reverse"><div dir="auto">{text}</div></div>'
    )


def job_card(job: Job) -> str:
    """A job in the list."""
    lines = [" · ".join(settings_of(job)), html.when(job.created_at)]
    return html.card(job.dataset_name, [html.badge(job.status)], lines, level=2)


def readings(values: Mapping[str, object]) -> str:
    """Figures whose names and values read as lines of text as well: "Loss: 0.4512"."""
    return html.figures({f"{name}: ": value for name, value in values.items()})


def loss_text(loss: float | None) -> str:
    return UNKNOWN if loss is None else f"{loss:.4f}"


def plain(number: float) -> str:
    """A small number without an exponent: 0.00005."""
    return f"{number:.10f}".rstrip("0").rstrip(".") if number < 1 else f"{number:g}"
