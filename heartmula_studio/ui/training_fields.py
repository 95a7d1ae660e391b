"""The fields under Advanced: each a setting of the trainer in plain words, with the field's term beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import gradio as gr

from heartmula_studio.finetune.config import NOT_WITH, NOT_WITH_AUDIO_HEAD, AdapterKind
from heartmula_studio.finetune.flat_settings import FREE, LORA, LORA_PREFIX
from heartmula_studio.store.records import Method
from heartmula_studio.ui import html

ATTENTION = ("q_proj", "k_proj", "v_proj", "output_proj")
LAYERS = (("All linear layers", "all"), ("Attention only", "attention"))
SCHEDULES = (("Cosine, to zero", "cosine"), ("Constant", "constant"))
KINDS = (("LoRA", "lora"), ("PiSSA", "pissa"), ("LoHa", "loha"), ("LoKr", "lokr"))
TRACKERS = (("None", "none"), ("TensorBoard", "tensorboard"))
SAVED = (("float32", "float32"), ("bfloat16, half the size", "bfloat16"))
BASES = (("Automatic", ""), ("float32", "float32"), ("bfloat16", "bfloat16"), ("nf4 (4-bit)", "nf4"))
PRECISIONS = (("Automatic", ""), ("Off (float32)", "no"), ("bf16", "bf16"), ("fp16", "fp16"))

SettingField = gr.Dropdown | gr.Checkbox | gr.Number | gr.Slider | gr.Textbox

AS_SUITS, MINUS_SUITS = "0 takes what suits the base.", "-1 takes what suits the base."
MINUS_SET = "-1 takes the studio's own setting."


@dataclass(frozen=True)
class AdvancedField:
    """A field under Advanced for a setting of the trainer, by its flat name. Type, default and help are the trainer's.

    `automatic` is the value that leaves it to the studio; `note` is what only this page has to say.
    """

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()
    automatic: bool | int | str | None = None
    note: str = ""

    @property
    def default(self) -> bool | int | float | str:
        return FREE[self.name].default if self.automatic is None else self.automatic

    def build(self) -> SettingField:
        setting, default = FREE[self.name], cast(Any, self.default)  # of the setting's kind
        info = f"{setting.help} {self.note}".rstrip().replace("*", r"\*")  # Gradio reads it as Markdown
        if self.choices:
            return gr.Dropdown(list(self.choices), value=default, label=self.label, info=info)
        if setting.kind is bool:
            return gr.Checkbox(default, label=self.label, info=info)
        if setting.kind is str:
            return gr.Textbox(default, label=self.label, info=info, max_lines=1)
        precision, step = (0, 1) if setting.kind is int else (None, 0.01)
        return gr.Number(default, label=self.label, info=info, precision=precision, step=step)


@dataclass(frozen=True)
class FieldGroup:
    """Fields that stand together under a heading; those `of_lora` go where all weights are trained."""

    heading: str
    fields: tuple[AdvancedField, ...]
    of_lora: bool = False


GROUPS = (
    FieldGroup(
        "The style itself",
        (
            AdvancedField("lora_kind", "How the change is built (adapter kind)", KINDS),
            AdvancedField("lora_alpha", "How strongly it acts (LoRA alpha)", automatic=0, note="0: twice its rank."),
            AdvancedField("lora_rank", "Rank beyond the slider (LoRA rank)", automatic=0, note="0: the slider's."),
            AdvancedField("lora_dropout", "Random forgetting (LoRA dropout)"),
            AdvancedField(
                "lora_target_modules",
                "Where it learns (target modules)",
                LAYERS,
                "all",
                "Attention alone is smaller, all learns more.",
            ),
            AdvancedField("lora_use_rslora", "Steady at high ranks (rsLoRA)"),
            AdvancedField("lora_use_dora", "Direction and size separately (DoRA)"),
            AdvancedField("lora_audio_head", "Fine detail as well (LoRA on the audio heads)"),
            AdvancedField("lora_rank_pattern", "Other ranks for some layers (rank pattern)"),
            AdvancedField("lora_alpha_pattern", "Other strengths for some layers (alpha pattern)"),
        ),
        of_lora=True,
    ),
    FieldGroup(
        "How it learns",
        (
            AdvancedField("schedule", "Pace over the training (learning rate schedule)", SCHEDULES),
            AdvancedField("warmup_ratio", "Gentle start (warm-up ratio)"),
            AdvancedField("weight_decay", "Pull back to the base (weight decay)"),
            AdvancedField("max_grad_norm", "Limit for one step (gradient clipping)"),
            AdvancedField(
                "learning_rate_factor", "Pace for this base (learning rate factor)", automatic=0, note=AS_SUITS
            ),
            AdvancedField("batch_size", "Pieces at once (batch size)", automatic=0, note=AS_SUITS),
            AdvancedField("gradient_accumulation_steps", "Rounds before a step (gradient accumulation)"),
            AdvancedField("ema_decay", "Average of the last steps (EMA)"),
            AdvancedField("seed", "Random numbers (seed)"),
        ),
    ),
    FieldGroup(
        "What it hears",
        (
            AdvancedField("trigger_word", "A word that calls the style (trigger word)"),
            AdvancedField("draws_per_epoch", "New pieces per track (draws per epoch)", automatic=-1, note=MINUS_SUITS),
            AdvancedField("track_versions", "Speeds of each track (versions)", automatic=0, note=AS_SUITS),
            AdvancedField("min_window_sec", "Shortest piece, in seconds", automatic=0, note=AS_SUITS),
            AdvancedField("max_window_sec", "Longest piece, in seconds (window length)", automatic=0, note=AS_SUITS),
            AdvancedField("prior_fraction", "Share of the base's own songs (prior)", automatic=-1, note=MINUS_SUITS),
            AdvancedField("context_noise", "Share with wrong context (context noise)", automatic=-1, note=MINUS_SUITS),
            AdvancedField("conditioning_dropout", "Share without tags and lyrics (prompt dropout)"),
            AdvancedField("depth_frame_fraction", "Share heard in full detail (depth frame fraction)"),
        ),
    ),
    FieldGroup(
        "Memory and speed",
        (
            AdvancedField("mixed_precision", "Precision of the arithmetic (mixed precision)", PRECISIONS, ""),
            AdvancedField("base_dtype", "Precision of the base (data type)", BASES, ""),
            AdvancedField("gradient_checkpointing", "Less memory, more time (gradient checkpointing)", (), False),
        ),
    ),
    FieldGroup(
        "Rungs to listen to",
        (
            AdvancedField("ladder_rungs", "How many rungs (checkpoints)"),
            AdvancedField("preview_songs", "Songs for each rung (previews)", automatic=-1, note=MINUS_SET),
            AdvancedField("preview_sec", "Length of these songs, in seconds"),
            AdvancedField("preview_seed", "Their random numbers (preview seed)"),
            AdvancedField("ladder_max_gb", "Most disk for all rungs, in GB"),
        ),
    ),
    FieldGroup(
        "Saving and stopping",
        (
            AdvancedField("state_every_steps", "Steps between saves (state)"),
            AdvancedField("max_steps", "Stop after so many steps (max steps)", automatic=0, note="0: no limit."),
            AdvancedField("loss_alarm", "Stop where the loss rises (early stop)", automatic=0, note="0: never."),
            AdvancedField("save_dtype", "Precision of what is saved (data type)", SAVED),
            AdvancedField("tracker", "Curves for other programs (tracking)", TRACKERS),
        ),
    ),
)
ADVANCED = tuple(field for group in GROUPS for field in group.fields)


OF_FULL, NOT_OF_FULL = ("save_dtype",), ("ema_decay",)
DECIDES = ("lora_kind", "lora_audio_head")  # which other settings of a LoRA there are
REFUSED = {name for names in (*NOT_WITH.values(), NOT_WITH_AUDIO_HEAD) for name in names}
GOES = (*OF_FULL, *NOT_OF_FULL, *(name for name in LORA if name.removeprefix(LORA_PREFIX) in REFUSED))


@dataclass(frozen=True)
class Advanced:
    """`fields` are in the order of ADVANCED; `columns` hold those that come and go, `lora` what only a LoRA has."""

    fields: list[SettingField]
    columns: Mapping[str, gr.Column]
    lora: gr.Column

    def of(self, names: Iterable[str]) -> list[SettingField]:
        by_name = {setting.name: field for setting, field in zip(ADVANCED, self.fields, strict=True)}
        return [by_name[name] for name in names]


def build_advanced() -> Advanced:
    built, columns = [], {}
    for group in GROUPS:
        with gr.Column(elem_classes=["field-group"]) as column:
            gr.HTML(f"<h3>{html.escape(group.heading)}</h3>")
            with gr.Row():
                for setting in group.fields:
                    with gr.Column(min_width=200, visible=setting.name not in OF_FULL) as columns[setting.name]:
                        built.append(setting.build())
        if group.of_lora:
            lora_column = column
    return Advanced(built, {name: columns[name] for name in GOES}, lora_column)


def left_out(method: Method, start_from: str | None, kind: AdapterKind, audio_head: bool) -> set[str]:
    """Return the settings that do not go with what was chosen; a style that is trained further keeps its LoRA."""
    if method == "full":
        return {*LORA, *NOT_OF_FULL}
    if start_from:
        return {*LORA, *OF_FULL}
    refused = {f"{LORA_PREFIX}{name}" for name in NOT_WITH[kind]}
    if audio_head and f"{LORA_PREFIX}audio_head" not in refused:
        refused |= {f"{LORA_PREFIX}{name}" for name in NOT_WITH_AUDIO_HEAD}
    return refused | set(OF_FULL)
