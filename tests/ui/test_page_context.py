"""What a browser remembers of the choices on the page."""

import gradio as gr

from heartmula_studio.ui.page_context import recalled_choice


def test_what_is_remembered_is_chosen_unless_something_is_and_nothing_writes_over_a_choice():
    assert recalled_choice("abc", "") == "abc"
    assert recalled_choice("abc", "xyz") == recalled_choice("", "") == gr.skip()
