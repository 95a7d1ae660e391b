"""What another dataset leaves behind on the page when it is chosen."""

import gradio as gr

from heartmula_studio.ui.songs import begin_anew


def test_what_was_said_of_another_dataset_goes():
    assert begin_anew("b", reported="a") == ("", 0)


def test_what_was_said_of_this_dataset_stays_and_the_rows_begin_anew():
    assert begin_anew("a", reported="a") == (gr.skip(), 0)
