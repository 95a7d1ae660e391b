"""What another dataset leaves behind on the page when it is chosen, and what is said of tracks."""

import re

import gradio as gr

from heartmula_studio.store.views import TrackLoss, TrackLosses
from heartmula_studio.ui.checks import losses_html
from heartmula_studio.ui.tracks import reset_for, upload
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio


def test_what_was_said_of_another_dataset_goes():
    assert reset_for("b", reported="a") == ""


def test_what_was_said_of_this_dataset_stays():
    assert reset_for("a", reported="a") == gr.skip()


def test_the_most_unlikely_track_has_the_longest_bar():
    said = losses_html(TrackLosses((TrackLoss("<b>.ogg", 4.0), TrackLoss("b.ogg", 3.0))))
    assert "&lt;b&gt;.ogg" in said
    assert re.findall(r"width:([\d.]+)%", said) == ["100.0", "75.0"]


def test_lyrics_in_an_old_encoding_are_shown_once_they_are_uploaded(tmp_path):
    studio = still_studio(settings_for(tmp_path / "data"))
    dataset = filled(studio, 1)
    path = tmp_path / f"{SONGS[0].stem}.txt"
    path.write_bytes("<b>Белая береза под моим окном\n".encode("cp1251"))
    *_, (report, _) = upload(studio, dataset.id, [str(path)])
    assert "It was read as cp1251. See that its words are right: &lt;b&gt;Белая береза" in report
    assert studio.datasets.get(dataset.id).audio_files[0].caption.startswith("<b>Белая")
