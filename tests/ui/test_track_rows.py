"""Which song is in which row, and what is sent of it."""

import gradio as gr

from heartmula_studio.ui.track_rows import RowContent, Shown, assigned, offers_of, updates


def test_songs_stay_in_their_rows_while_others_come_and_go():
    assert assigned([None, None, None], ["a", "b"]) == ["a", "b", None]
    assert assigned(["a", "b", None], ["a", "b", "c"]) == ["a", "b", "c"]
    assert assigned(["a", "b", "c"], ["b", "c", "d"]) == ["d", "b", "c"]
    assert assigned(["a", "b", "c"], []) == [None, None, None]


def test_what_has_not_changed_is_not_sent():
    empty, ready = RowContent(), RowContent("a.wav", "<h3>a</h3>", "", ("la", "", "own"))
    assert updates(empty, ready) == [gr.update(visible=True), "<h3>a</h3>", gr.skip(), "", *[gr.skip()] * 3]
    assert updates(ready, ready) == [gr.skip()] * 7
    assert updates(ready, empty) == [gr.update(visible=False), "", gr.skip(), "", *[gr.skip()] * 3]


def test_an_offer_names_the_song_and_a_row_without_one_offers_empty_fields():
    rows = (RowContent("a.wav", "", "", ("la", "pop, slow", "own", "ends")), RowContent())
    assert offers_of(Shown("id", 0, rows)) == [
        {"key": ["id", "a.wav"], "values": ["la", "pop, slow", "own", "ends"]},
        {"key": None, "values": ["", "", "unknown", "as_heard"]},
    ]
