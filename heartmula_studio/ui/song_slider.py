"""Sliders and fields for the settings of a song, wherever the page asks for one."""

from typing import Any

import gradio as gr

from heartmula_studio.definition import Setting
from heartmula_studio.generate.request import SONG


def song_slider(name: str, label: str, step: float, **more: Any) -> gr.Slider:
    """Build a slider over everything that a setting may be."""
    return setting_slider(SONG[name], label, step, **more)


def optional_number(label: str, info: str, **more: Any) -> gr.Textbox:
    """Build a field for a number, which may stay empty: Gradio 6.31 shows an empty number as 0."""
    return gr.Textbox("", label=label, info=info, max_lines=1, **more)


def loudness_field(info: str) -> gr.Textbox:
    return optional_number("Loudness (LUFS)", info)


def shown_number(value: float | None) -> str:
    """Return a number as `optional_number` shows it."""
    return "" if value is None else f"{value:g}"


def setting_slider(setting: Setting, label: str, step: float, **more: Any) -> gr.Slider:
    """Build a slider over everything that a setting may be, if that has two ends."""
    assert setting.minimum is not None
    assert setting.maximum is not None
    return gr.Slider(
        setting.minimum, setting.maximum, setting.default, step=step, label=label, info=setting.help, **more
    )
