"""What another dataset leaves behind on the page when it is chosen, and what is said of tracks."""

import re

import gradio as gr

from heartmula_studio.store.views import TrackLoss, TrackLosses
from heartmula_studio.ui.tracks import losses_html, reset_for


def test_what_was_said_of_another_dataset_goes():
    assert reset_for("b", reported="a") == ""


def test_what_was_said_of_this_dataset_stays():
    assert reset_for("a", reported="a") == gr.skip()


def test_the_most_unlikely_track_has_the_longest_bar():
    said = losses_html(TrackLosses((TrackLoss("<b>.ogg", 4.0), TrackLoss("b.ogg", 3.0))))
    assert "&lt;b&gt;.ogg" in said
    assert re.findall(r"width:([\d.]+)%", said) == ["100.0", "75.0"]
