"""A ladder in the words of the page, from records made here."""

import pytest

from heartmula_studio.store.views import Audition, AuditionResult, AuditionTrial, LadderView, PreviewSong, Rung
from heartmula_studio.ui.ladder_view import audition_value, has_warning, ladder_value, rung_words

NOW = "2026-11-25T14:02:00.000000+00:00"
SONGS = tuple(PreviewSong(number, 1 + number, "techno", "", 10.0, ended=False) for number in range(2))


def rung(step: int, songs=SONGS, recommended: bool = False, **figures) -> Rung:
    return Rung(step, 1, step == 0, 10, 3.0, figures, (), songs, False, recommended, None)


def ladder_of(*rungs: Rung, reason: str = "Why.") -> LadderView:
    best = next((rung.step for rung in rungs if rung.recommended), None)
    return LadderView("job1", rungs, best, reason, "", None)


def value_of(ladder: LadderView) -> dict:
    return ladder_value(ladder, [], lambda step, number: f"{step}/{number}")


def words(**figures) -> list:
    return rung_words(rung(4, **figures))


def test_the_grid_is_rungs_by_songs_and_waits_for_those_to_come():
    value = value_of(ladder_of(rung(0), rung(20, SONGS[:1]), rung(40, ())))
    assert [row["title"] for row in value["rungs"]] == ["Base", "Step 20", "Step 40"]
    assert [row["sounds"] for row in value["rungs"]] == [["0/0", "0/1"], ["20/0", None], [None, None]]
    assert [row["can_be_tested"] for row in value["rungs"]] == [False, True, False]
    assert value["songs"] == ["Song 1: techno · seed 1", "Song 2: techno · seed 2"]


def test_songs_that_the_base_alone_has_are_not_waited_for():
    value = value_of(ladder_of(rung(0), rung(20, SONGS[:1], is_audible=True), rung(40, ())))
    assert [row["sounds"] for row in value["rungs"]] == [["0/0"], ["20/0"], [None]]


def test_before_the_first_rung_it_says_what_comes():
    value = value_of(ladder_of(rung(0, SONGS[:1]), reason=""))
    assert value["reason"].startswith("The first rung is being made")
    assert value["recommended_step"] is None


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"is_audible": False, "nearness": 0.1}, ("warning", "Not audible yet")),
        ({"is_audible": True, "nearness": 0.62}, ("good", "Audible: 62 % of the way from the base's songs")),
        ({"is_audible": True, "nearness": 1.4}, ("good", "Audible: 100 % of the way")),
        ({"copied_track": "a.ogg", "copied_sec": 65.0, "is_near_copy": False}, ("plain", "Nothing copied. Nearest")),
        (
            {"copied_track": "a.ogg", "copied_sec": 65.0, "is_near_copy": True},
            ("warning", "Near-copy of a.ogg at 1:0"),
        ),
        ({"ended_share": 1.0, "base_ended_share": 0.0}, ("plain", "Songs that end by themselves: all (base: none).")),
        ({"alarm": "overfitting", "held_out_loss": 3.1}, ("warning", "Alarm: the loss on the held-out song")),
        ({"alarm": "diverging"}, ("warning", "Alarm: the loss is rising")),
        ({"held_out_loss": 2.9, "base_held_out_loss": 3.0}, ("plain", "Held-out loss 2.9000 (base: 3.0000); no")),
        ({}, ("plain", "Not measured yet.")),
    ],
)
def test_figures_in_words(figures, said):
    ((kind, text),) = words(**figures)
    assert kind == said[0]
    assert text.startswith(said[1])


def test_a_warning_counts_on_the_recommended_rung_alone():
    copied = {"is_near_copy": True, "copied_track": "a.ogg"}
    assert has_warning(value_of(ladder_of(rung(2), rung(4, recommended=True, **copied))))
    assert not has_warning(value_of(ladder_of(rung(2, **copied), rung(4, recommended=True, is_audible=True))))
    assert not has_warning(None)


def test_a_blind_test_has_sounds_of_what_is_still_to_be_heard():
    trials = tuple(AuditionTrial(0, 1, "techno", "", choice, None) for choice in ("a", None))
    value = audition_value(Audition("one", "job1", 4, NOW, trials, None), lambda trial, side: f"{trial}{side}")
    assert value["trials"] == [{"number": 0, "choice": "a"}, {"number": 1, "choice": None, "a": "1a", "b": "1b"}]
    assert (value["ask"], value["about"]) == ("Which one is in your style?", "Step 4, 25 Nov 2026, 14:02 UTC")
    result = AuditionResult(7, 8, 0.04, True, "You told it from the base in 7 of 8.")
    over = audition_value(Audition("one", "job1", 4, NOW, trials[:1], result), lambda trial, side: "")
    assert over["sentence"] == result.sentence
