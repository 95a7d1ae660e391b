"""What the page's fields mean: tags, styles, seeds, section marks."""

from dataclasses import asdict
from html import escape

import gradio as gr
import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.generate.request import SONG
from heartmula_studio.store.records import Generation
from heartmula_studio.ui import dataset, history, jobs, models
from heartmula_studio.ui.create import build_form, form_values, joined, parsed_seed, request_of
from heartmula_studio.ui.page_context import comma_separated, user_errors
from heartmula_studio.ui.proposals import find_analyses
from tests.still_studio import settings_for, still_studio


@pytest.mark.parametrize(("text", "seed"), [("", None), ("  ", None), ("0", 0), (" 42 ", 42), ("-3", -3)])
def test_seed(text, seed):
    assert parsed_seed(text) == seed


@pytest.mark.parametrize("text", ["4.5", "abc", "1e3", "<b>"])
def test_seed_that_is_no_number(text):
    with pytest.raises(InvalidInputError, match="whole number"):
        parsed_seed(text)


@pytest.mark.parametrize(("shown", "title"), [(escape, "Invalid input"), (str, "invalid_input")])
def test_an_error_has_a_title_in_words_and_a_code_for_programs(shown, title):
    with pytest.raises(gr.Error) as caught, user_errors(shown):
        raise InvalidInputError("It is none.", "Give one.")
    assert caught.value.title == title


def test_styles_are_separated_by_commas():
    assert comma_separated(" Afrobeat ,Highlife,, ") == ["Afrobeat", "Highlife"]


def test_tags_that_were_typed_have_no_spaces_around_them():
    assert joined(["pop", " typed", "lo-fi , calm ", " "]) == "pop, typed, lo-fi, calm"


def test_form_of_a_song_made_before():
    request = {
        "tags": "pop, lo-fi", "lyrics": "[Verse]\nla", "duration_sec": 12.0, "seed": 7,
        "temperature": 0.9, "topk": 40, "cfg_scale": 2.0,
    }  # fmt: skip
    song = Generation("abc", request, "wav", "2026-11-25T03:00:00.000000+00:00")
    assert form_values(song) == [["pop", "lo-fi"], "[Verse]\nla", 12.0, "7", "0.9", 40, "2", "", 1.0]
    assert asdict(request_of(form_values(song))) == request | {"loudness_lufs": None, "min_duration_sec": 1.0}
    loud = Generation("abc", request | {"loudness_lufs": -14.5}, "wav", "2026-11-25T03:00:00.000000+00:00")
    assert form_values(loud)[-2] == "-14.5"
    assert request_of(form_values(loud)).loudness_lufs == -14.5
    suiting = {"cfg_scale": None, "temperature": None}
    as_it_suits = request_of(
        form_values(Generation("abc", request | suiting, "wav", "2026-11-25T03:00:00.000000+00:00"))
    )
    assert (as_it_suits.cfg_scale, as_it_suits.temperature) == (None, None)
    assert (
        request_of([*form_values(loud)[:-2], None, 20.0]).loudness_lufs is None
    )  # below Advanced, which was never opened


def test_the_form_takes_every_song_that_can_be_asked_for():
    """A song of REST that was longer than the page's slider could not be made again from the page."""
    with gr.Blocks():
        form = build_form()
    assert list(vars(form)) == list(SONG)
    for name in ("duration_sec", "min_duration_sec"):
        slider = getattr(form, name)
        assert (slider.minimum, slider.maximum) == (SONG[name].minimum, SONG[name].maximum)
    for name in ("duration_sec", "topk", "min_duration_sec"):
        assert getattr(form, name).value == SONG[name].default


def test_what_another_page_has_deleted_is_deleted_and_followed_without_a_word(tmp_path):
    studio = still_studio(settings_for(tmp_path / "data"))
    assert [delete(studio, "gone") for delete in (dataset.delete_dataset, models.delete)] == ["", ""]
    history.delete_song(studio, "gone")
    assert jobs.delete(studio, "gone")[0] == ""
    assert dataset.deletion_warning(studio, "gone")[1] == dataset.edit_form(studio, "gone")[1] == ""
    assert find_analyses(studio, "gone") is None
