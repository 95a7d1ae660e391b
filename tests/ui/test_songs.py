"""What another dataset leaves behind on the page when it is chosen."""

import gradio as gr

from heartmula_studio.ui.songs import SHOWN_AT_FIRST, begin_anew


def test_what_was_said_of_another_dataset_goes():
    assert begin_anew("b", reported="a") == ("", SHOWN_AT_FIRST)


def test_what_was_said_of_this_dataset_stays_and_the_rows_are_few_again():
    assert begin_anew("a", reported="a") == (gr.skip(), SHOWN_AT_FIRST)
