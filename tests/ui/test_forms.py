"""What the page's fields mean: tags, styles, seeds, section marks."""

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.store.records import Generation
from heartmula_studio.ui.create import form_values, parsed_seed, with_section
from heartmula_studio.ui.shared import comma_separated
from heartmula_studio.ui.style_manager import with_ticked


@pytest.mark.parametrize(("text", "seed"), [("", None), ("  ", None), ("0", 0), (" 42 ", 42), ("-3", -3)])
def test_seed(text, seed):
    assert parsed_seed(text) == seed


@pytest.mark.parametrize("text", ["4.5", "abc", "1e3", "<b>"])
def test_seed_that_is_no_number(text):
    with pytest.raises(InvalidInputError, match="whole number"):
        parsed_seed(text)


def test_section_marks_come_at_the_end_on_their_own_line():
    assert with_section("", "Verse") == "[Verse]\n"
    assert with_section("[Verse]\nla la\n\n\n", "Chorus") == "[Verse]\nla la\n\n[Chorus]\n"


def test_styles_are_separated_by_commas():
    assert comma_separated(" Afrobeat ,Highlife,, ") == ["Afrobeat", "Highlife"]


def test_ticking_adds_and_unticking_removes_and_other_tags_stay():
    offered = ["pop", "rock"]
    assert with_ticked(["mine"], ["rock"], offered) == ["mine", "rock"]
    assert with_ticked(["mine", "rock", "pop"], ["pop"], offered) == ["mine", "pop"]
    assert with_ticked(["mine", "rock"], [], offered) == ["mine"]


def test_form_of_a_song_made_before():
    request = {
        "tags": "pop, lo-fi", "lyrics": "[Verse]\nla", "duration_sec": 12.0, "seed": 7,
        "temperature": 0.9, "topk": 40, "cfg_scale": 2.0,
    }  # fmt: skip
    song = Generation("abc", request, "wav", "2026-11-25T03:00:00.000000+00:00")
    assert form_values(song) == [["pop", "lo-fi"], "[Verse]\nla", 12.0, "7", 0.9, 40, 2.0]
