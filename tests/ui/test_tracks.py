"""What another dataset leaves behind on the page when it is chosen."""

import gradio as gr

from heartmula_studio.ui.tracks import reset_for


def test_what_was_said_of_another_dataset_goes():
    assert reset_for("b", reported="a") == ("", 0)


def test_what_was_said_of_this_dataset_stays_and_the_rows_begin_anew():
    assert reset_for("a", reported="a") == (gr.skip(), 0)
