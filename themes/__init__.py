"""The look of the page: a Gradio theme and its style sheets."""

from themes.glass import CSS, Glass

__all__ = ["CSS", "Glass"]
