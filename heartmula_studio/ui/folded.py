"""Sections of the page that are folded until somebody opens them."""

from typing import cast

FOLDED = cast(bool, 0)
"""For `open` of a `gr.Accordion`: closed, with its fields in the page from the start.

What is inside one that is closed with `False`, Gradio 6.31 only builds as it is opened, and then sends every field its
first value again: what was typed meanwhile is lost. The browser compares with `false` alone.
"""
