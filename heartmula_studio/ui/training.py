"""⚙️ Training: dataset, method and settings of a job, with an estimate of time, memory and disk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from heartmula_studio.errors import StudioError
from heartmula_studio.files.public_text import public
from heartmula_studio.files.wording import counted
from heartmula_studio.finetune.config import AdapterKind, LoraSettings, TrainConfig
from heartmula_studio.finetune.flat_settings import FREE
from heartmula_studio.settings import BUNDLED_BASE
from heartmula_studio.store.records import Dataset, Method
from heartmula_studio.store.views import Estimate, Health, Preset
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.changes import on_change
from heartmula_studio.ui.folded import FOLDED
from heartmula_studio.ui.job_view import METHODS, readings
from heartmula_studio.ui.page_context import PageContext, user_errors
from heartmula_studio.ui.quiet import AS_SENT, QUIET
from heartmula_studio.ui.training_fields import (
    ADVANCED,
    ATTENTION,
    DECIDES,
    GOES,
    SettingField,
    build_advanced,
    left_out,
)

FIRST_STEP = "Make a dataset of at least five songs first, or try the six example clips."
LARGE_BASE_SIZES = {"lora": "~100 MB", "full": "~6 GB"}
PRESETS = ("Fast", "Balanced", "Thorough")
BALANCED = PRESETS[1]
MAX_SLIDER_RANK = 32  # the advanced field goes further

NAMES = ("epochs", "learning_rate", "lora_rank", "start_from", *(setting.name for setting in ADVANCED))


@dataclass(frozen=True)
class Form:
    """`base` names the base model, `settings` are in the order of NAMES."""

    dataset: gr.Dropdown
    base: gr.HTML
    method: gr.Radio
    presets: list[gr.Button]
    settings: list[SettingField]

    @property
    def of_a_preset(self) -> list[SettingField]:
        """Epochs, learning rate, rank, the rank beyond the slider, and the limit of steps."""
        advanced = dict(zip(NAMES, self.settings, strict=True))  # of two of one name, the last
        return [*self.settings[:3], advanced["lora_rank"], advanced["max_steps"]]

    @property
    def inputs(self) -> list[SettingField | gr.Radio]:
        return [self.dataset, self.method, *self.settings]


def build_training(context: PageContext) -> None:
    studio = context.studio
    with gr.Column(elem_classes=["glass"], visible=False) as nothing:
        gr.HTML(html.empty("⚙️", "Nothing to train on yet", FIRST_STEP))
        to_dataset = gr.Button("Go to Dataset", variant="primary")
    context.open_tab_on(to_dataset.click, "dataset")
    with gr.Row(visible=False) as some:
        with gr.Column(scale=3, min_width=300, elem_classes=["glass"]):
            form = _build_form(context)
        with gr.Column(scale=2, min_width=280, elem_classes=["glass", "stays"]):
            gr.HTML("<h2>Estimate</h2>")
            estimate = gr.HTML()
            enough = gr.Button(f"Set {BALANCED}", visible=False)
            start = gr.Button("Start training", variant="primary", size="lg")
    estimated = [estimate, start, enough, *form.presets]
    gr.on(
        on_change(*form.inputs), partial(show_estimate, studio), form.inputs, estimated,
        trigger_mode="always_last", **AS_SENT,
    )  # fmt: skip
    kept = _keep_datasets(context, form, [nothing, some])
    kept.then(partial(show_estimate, studio), form.inputs, estimated, **AS_SENT)
    for button, name in ((enough, BALANCED), *zip(form.presets, PRESETS, strict=True)):
        button.click(partial(preset_values, studio, name), form.inputs, form.of_a_preset, **AS_SENT)
    started = start.click(lambda *values: start_training(studio, *values), form.inputs, context.job_id, **AS_SENT)
    context.open_tab_after(started, "jobs")


def _build_form(context: PageContext) -> Form:
    studio, start_from = context.studio, context.start_from
    gr.HTML("<h2>Training</h2>")
    dataset = gr.Dropdown([], label="Dataset", interactive=True)
    base = gr.HTML()
    start_from.render()
    method = gr.Radio(
        [(name, method) for method, name in METHODS.items()],
        value="lora",
        label="Method",
        elem_classes=["method-cards"],
    )
    with gr.Row():
        presets = [gr.Button(name, size="sm", min_width=90) for name in PRESETS]
    with gr.Row():
        epochs = gr.Number(TrainConfig.epochs, label="Epochs", precision=0, min_width=120)
        learning_rate = gr.Number(TrainConfig.learning_rate, label="Learning rate", step=0.00001, min_width=120)
        rank = gr.Slider(8, MAX_SLIDER_RANK, LoraSettings.rank, step=1, label="LoRA rank", min_width=160)
    with gr.Accordion("Advanced", open=FOLDED):
        advanced = build_advanced()
    decides = [method, start_from, *advanced.of(DECIDES)]
    gr.on(
        on_change(*decides), shown_fields, decides, [rank, advanced.lora, *advanced.columns.values()],
        trigger_mode="multiple", **AS_SENT,
    )  # fmt: skip
    start_choices = partial(refreshed_start_field, studio)
    gr.on(on_change(context.changes.checkpoints), start_choices, start_from, start_from, **AS_SENT)
    return Form(dataset, base, method, presets, [epochs, learning_rate, rank, start_from, *advanced.fields])


def start_field(studio: Studio, chosen: str | None) -> dict:
    """Return what a training can start from, the base first, with `chosen` while it is there."""
    styles = studio.checkpoints.list()[::-1]
    choices = [("The base model", ""), *((f"{style.name} ({METHODS[style.method]})", style.id) for style in styles)]
    return gr.update(choices=choices, value=chosen if chosen in [style.id for style in styles] else "")


def refreshed_start_field(studio: Studio, chosen: str | None) -> dict:
    """Return what a training can start from; a choice that stands is not sent, as another may have been made since."""
    field = start_field(studio, chosen)
    if field["value"] == chosen:
        del field["value"]
    return field


def shown_fields(method: Method, start_from: str | None, kind: AdapterKind, audio_head: bool) -> list[dict]:
    """Show the fields of a LoRA where one begins, and of all others those that go with what was chosen."""
    is_new_lora, refused = method == "lora" and not start_from, left_out(method, start_from, kind, audio_head)
    return [gr.update(visible=is_new_lora)] * 2 + [gr.update(visible=name not in refused) for name in GOES]


def _keep_datasets(context: PageContext, form: Form, panels: Sequence[gr.blocks.Block]) -> gr.events.Dependency:
    """Keep the list of datasets up to date, with the selected one chosen."""
    shown = gr.State("")
    kept = gr.on(
        on_change(context.changes.datasets, context.changes.base, context.dataset_id),
        partial(dataset_field, context.studio),
        [context.dataset_id, shown],
        [form.dataset, shown, form.base, form.method, *panels],
        **QUIET,
    )
    form.dataset.input(lambda id: id, form.dataset, context.dataset_id, **AS_SENT)
    return kept


def dataset_field(studio: Studio, remembered: str, shown: str) -> tuple:
    """The datasets to choose from, which is chosen, base and methods, and whether there is anything to train on.

    The selected dataset is chosen, else the one that is shown, which a newer one does not displace, else the newest.
    """
    datasets = studio.datasets.list()[::-1]
    ids = [dataset.id for dataset in datasets]
    chosen = next((id for id in (remembered, shown, *ids) if id in ids), None)
    field = gr.update(choices=[(dataset_label(dataset), dataset.id) for dataset in datasets], value=chosen)
    panels = (gr.update(visible=not ids), gr.update(visible=bool(ids)))
    return field, chosen or "", *base_and_methods(studio, chosen), *panels


def preset_values(studio: Studio, name: str, dataset_id: str | None, method: Method, *values: Any) -> tuple:
    """Return the values of `Form.of_a_preset`, for what the rest of the form says."""
    with user_errors():
        presets = studio.planning.presets(dataset_id or "", method, **settings_from(method, values))
    preset = next((preset for preset in presets if preset.name == name), None)
    if preset is None:
        return (gr.skip(),) * 5
    epochs, rank = preset.settings["epochs"], preset.settings.get("lora_rank")
    ranks = (gr.skip(),) * 2 if rank is None else (min(rank, MAX_SLIDER_RANK), rank if rank > MAX_SLIDER_RANK else 0)
    return epochs, TrainConfig.learning_rate, *ranks, 0


def preset_label(preset: Preset) -> str:
    return f"{preset.name}: {preset.steps:,} steps, {html.time_left(preset.seconds)}"


def dataset_label(dataset: Dataset) -> str:
    count, needed = len(dataset.audio_files), dataset.minimum_files
    files = f"{count} of {counted(needed, 'file')}" if count < needed else counted(count, "file")
    return f"{dataset.name} ({files})"


def settings_from(method: Method, values: Sequence[Any]) -> dict[str, Any]:
    """Return the form's values as `studio.jobs.start` takes them, without empty ones and those that are not shown."""
    left = {setting.name: setting.automatic for setting in ADVANCED}
    given = {name: value for name, value in zip(NAMES, values, strict=True) if value not in (None, left.get(name))}
    if given.get("lora_target_modules") == "attention":
        given["lora_target_modules"] = list(ATTENTION)
    refused = left_out(method, given.get("start_from"), *(given.get(name, FREE[name].default) for name in DECIDES))
    return {name: value for name, value in given.items() if name not in refused}


def start_training(studio: Studio, dataset_id: str | None, method: Method, *values: Any) -> str:
    """Queue the training, and return its id."""
    with user_errors():
        return studio.jobs.start(dataset_id or "", method, **settings_from(method, values)).id


def show_estimate(studio: Studio, dataset_id: str | None, method: Method, *values: Any) -> tuple:
    """Return the estimate or the reason against it, whether Start is enabled, and what is offered instead."""
    nothing = gr.update(interactive=False), gr.update(visible=False), *[gr.skip()] * len(PRESETS)
    if not dataset_id:
        return "", *nothing
    try:
        settings = settings_from(method, values)
        estimate = studio.planning.estimate(dataset_id, method, **settings)
        presets = studio.planning.presets(dataset_id, method, **settings)
        is_ready = studio.datasets.validate(dataset_id).ready
    except StudioError as error:
        return html.notice("warning", public(error.message), public(error.hint)), *nothing
    labels = [preset_label(preset) for preset in presets] or PRESETS
    start, enough = gr.update(interactive=is_ready), gr.update(visible=bool(estimate.advice))
    return estimate_html(estimate), start, enough, *labels


def estimate_html(estimate: Estimate) -> str:
    """Return the estimate as HTML: figures, problems, and whether it fits on this machine."""
    figures = readings(
        {
            "Steps": f"{estimate.steps:,}",
            "Time": f"about {html.time_left(max(1, estimate.seconds))}",
            "Memory": f"{html.size(estimate.memory_bytes)} of {html.size(estimate.device_memory_bytes)}",
            "Disk": f"{html.size(estimate.disk_bytes)} of {html.size(estimate.free_disk_bytes)} free",
        }
    )
    said = (*estimate.problems, *estimate.advice)
    notices = (html.notice("warning", problem.message, problem.hint) for problem in said)
    fits = html.notice("success", f"Fits on this machine ({estimate.device}).") if estimate.fits else ""
    return f"{figures}{fits}{''.join(notices)}"


def base_and_methods(studio: Studio, dataset_id: str | None) -> tuple[str, dict]:
    """Return the base model as HTML, and the two methods with the size of their checkpoints."""
    sizes = method_sizes(studio, dataset_id)
    choices = [(f"{name} ({sizes[method]})" if method in sizes else name, method) for method, name in METHODS.items()]
    health = studio.health()
    return base_html(health), gr.update(choices=choices)


def base_html(health: Health) -> str:
    """Return which base is trained on what, and why."""
    note = f" ({html.escape(health.device_note)})" if health.device_note else ""
    base = f"Base model <b>{html.escape(health.base_model)}</b> on {html.escape(health.device)}{note}"
    return f'<p class="hint">{base}. {html.escape(health.base_reason)}</p>'


def method_sizes(studio: Studio, dataset_id: str | None) -> Mapping[str, str]:
    """Return the rough size of each method's checkpoint; those of the official base are known."""
    try:
        estimates = {method: studio.planning.estimate(dataset_id or "", method) for method in METHODS}
    except StudioError:
        estimates = {}
    if studio.health().base_model != BUNDLED_BASE:
        return LARGE_BASE_SIZES
    return {method: f"~{rough_size(estimate.checkpoint_bytes)}" for method, estimate in estimates.items()}


def rough_size(num_bytes: int) -> str:
    """A size to its first digit: "8 MB"."""
    digits = math.floor(math.log10(max(1, num_bytes)))
    return html.size(round(num_bytes, -digits)).replace(".0", "")
