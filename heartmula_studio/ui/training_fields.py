"""The fields under Advanced: each a setting of the trainer in plain words, with the field's term beside them."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from heartmula_studio.finetune.flat_settings import FREE
from heartmula_studio.ui import html

ATTENTION = ("q_proj", "k_proj", "v_proj", "output_proj")
LAYERS = (("All linear layers", "all"), ("Attention only", "attention"))
SCHEDULES = (("Cosine, to zero", "cosine"), ("Constant", "constant"))
BASES = (("Automatic", ""), ("float32", "float32"), ("bfloat16", "bfloat16"), ("nf4 (4-bit)", "nf4"))
PRECISIONS = (("Automatic", ""), ("Off (float32)", "no"), ("bf16", "bf16"), ("fp16", "fp16"))

SettingField = gr.Dropdown | gr.Checkbox | gr.Number | gr.Slider

AS_SUITS, MINUS_SUITS = "0 is what suits the base.", "-1 is what suits the base."


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

    def build(self, default: Any) -> SettingField:
        setting = FREE[self.name]
        info = f"{setting.help} {self.note}".rstrip()
        with gr.Column(min_width=200):
            if self.choices:
                return gr.Dropdown(list(self.choices), value=default, label=self.label, info=info)
            if setting.kind is bool:
                return gr.Checkbox(default, label=self.label, info=info)
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
            AdvancedField("lora_alpha", "How strongly it acts (LoRA alpha)", automatic=0, note="0 is twice its rank."),
            AdvancedField("lora_rank", "Rank beyond the slider (LoRA rank)", automatic=0, note="0 is the slider's."),
            AdvancedField("lora_dropout", "Random forgetting (LoRA dropout)"),
            AdvancedField(
                "lora_target_modules",
                "Where it learns (target modules)",
                LAYERS,
                "all",
                "Attention alone is smaller, all learns more.",
            ),
            AdvancedField("lora_use_rslora", "Steady at high ranks (rsLoRA)"),
            AdvancedField("lora_use_dora", "Direction and size apart (DoRA)"),
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
            AdvancedField("seed", "Random numbers (seed)"),
        ),
    ),
    FieldGroup(
        "What it hears",
        (
            AdvancedField("draws_per_epoch", "New pieces per track (draws per epoch)", automatic=-1, note=MINUS_SUITS),
            AdvancedField("min_window_sec", "Shortest piece, in seconds", automatic=0, note=AS_SUITS),
            AdvancedField("max_window_sec", "Longest piece, in seconds (window length)", automatic=0, note=AS_SUITS),
            AdvancedField("prior_fraction", "Share of the base's own songs (prior)", automatic=-1, note=MINUS_SUITS),
            AdvancedField("context_noise", "Share heard wrong (context noise)", automatic=-1, note=MINUS_SUITS),
            AdvancedField("conditioning_dropout", "Share without tags and lyrics (prompt dropout)"),
            AdvancedField("depth_frame_fraction", "Share heard in full detail (depth frame fraction)"),
        ),
    ),
    FieldGroup(
        "Memory and speed",
        (
            AdvancedField("mixed_precision", "Exactness of the arithmetic (mixed precision)", PRECISIONS, ""),
            AdvancedField("base_dtype", "Exactness of the base (data type)", BASES, ""),
            AdvancedField("gradient_checkpointing", "Less memory, more time (gradient checkpointing)", (), False),
        ),
    ),
    FieldGroup(
        "Rungs to listen to",
        (
            AdvancedField("ladder_rungs", "How many rungs (checkpoints)"),
            AdvancedField("preview_songs", "Songs for each rung (previews)"),
            AdvancedField("preview_sec", "Length of these songs, in seconds"),
            AdvancedField("preview_seed", "Their random numbers (preview seed)"),
            AdvancedField("ladder_max_gb", "Most disk for all rungs, in GB"),
        ),
    ),
    FieldGroup(
        "Saving and stopping",
        (
            AdvancedField("state_every_steps", "Steps between saves (state)"),
            AdvancedField("max_steps", "Stop after so many steps (max steps)", automatic=0, note="0 is no limit."),
        ),
    ),
)
ADVANCED = tuple(field for group in GROUPS for field in group.fields)


def build_advanced() -> tuple[list[SettingField], gr.Column]:
    """Build all groups; return their fields in the order of ADVANCED, and what only a LoRA has."""
    built: list[SettingField] = []
    for group in GROUPS:
        with gr.Column(elem_classes=["field-group"]) as column:
            gr.HTML(f"<h3>{html.escape(group.heading)}</h3>")
            with gr.Row():
                built += [field.build(field.default) for field in group.fields]
        if group.of_lora:
            lora_column = column
    return built, lora_column
