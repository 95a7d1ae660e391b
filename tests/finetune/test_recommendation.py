"""Which rung is recommended, and what the losses alone say."""

import pytest

from heartmula_studio.finetune.figures import Figures, loss_alarm, loss_figures
from heartmula_studio.finetune.outcome import training_outcome
from heartmula_studio.finetune.recommendation import RungFigures, faults, recommend
from tests.training_events import evaluation, step

QUIET = Figures(is_audible=False, nearness=0.1)
NEAR, NEARER = Figures(is_audible=True, nearness=0.4), Figures(is_audible=True, nearness=0.7)
COPY = Figures(is_audible=True, nearness=0.9, is_near_copy=True, copied_track="a.ogg", copied_sec=12.4)
SHORT = Figures(is_audible=True, nearness=0.9, ended_share=1.0, base_ended_share=0.25)
PAST = Figures(is_audible=True, nearness=0.9, alarm="overfitting")
ALARM = Figures(alarm="diverging")


@pytest.mark.parametrize(
    ("figures", "chosen", "is_audible", "said"),
    [
        ([QUIET, NEAR, NEARER], 3, True, "Your style is ready"),
        ([NEARER, NEAR], 1, True, "at step 1 its songs sound clearly different"),
        ([NEAR, NEAR], 1, True, "ready"),
        ([QUIET, NEAR, COPY, SHORT, PAST], 2, True, "ready"),
        ([QUIET, QUIET], 2, False, "Not audible yet"),
        ([QUIET, COPY], 2, True, "a song comes close to a track (a.ogg at 12 s)"),
        ([QUIET, SHORT], 2, True, "songs end by themselves more often than the base's"),
        ([Figures(), Figures(), ALARM], 2, None, "Listen to it to judge"),
        ([ALARM, ALARM], 1, None, "Listen to it to judge"),
    ],
)
def test_the_audible_rung_without_a_fault_that_is_nearest_to_the_tracks(figures, chosen, is_audible, said):
    found = recommend([RungFigures(number, one) for number, one in enumerate(figures, 1)])
    assert (found.step, found.is_audible) == (chosen, is_audible)
    assert said in found.verdict
    assert found.reason.startswith(f"Step {chosen}: ")


def test_without_rungs_nothing_is_recommended():
    assert recommend([]) is None


def test_what_can_be_heard_comes_before_what_the_loss_says():
    quiet = recommend([RungFigures(4, QUIET)])
    outcome = training_outcome(3.0, 2.5, 4, 4, quiet)
    assert outcome.message.startswith("Not audible yet")
    assert (outcome.learned, outcome.is_audible) == (True, False)
    assert training_outcome(3.0, 2.5, 4, 4, recommend([RungFigures(4, Figures())])).is_audible is None


def test_songs_that_end_as_the_bases_do_are_no_fault():
    assert faults(Figures(ended_share=1.0, base_ended_share=0.75)) == ()
    assert faults(Figures(ended_share=1.0)) == ()


@pytest.mark.parametrize(
    ("held_out", "training", "alarm"),
    [
        ([3.0, 2.9, 2.8], [3.0] * 10, None),
        ([3.0, 2.9, 2.95], [3.0] * 10, None),
        ([3.0, 2.8, 3.1], [3.0] * 10, "overfitting"),
        ([3.0, 3.1], [3.0] * 5 + [3.5] * 5, "diverging"),
        ([], [3.0] * 5 + [3.2] * 5, None),
        ([], [3.0, 9.0], None),
    ],
)
def test_alarms(held_out, training, alarm):
    assert loss_alarm(held_out, training) == alarm


def test_losses_are_read_from_the_events_so_far():
    events = [
        evaluation(0, loss=3.0, per_codebook=(3.0, 3.0)),
        step(1),
        evaluation(2, loss=2.5, per_codebook=(2.0, 3.0)),
    ]
    figures = loss_figures(events, 2.6)
    assert (figures.base_held_out_loss, figures.held_out_loss, figures.shuffled_loss) == (3.0, 2.5, 2.6)
    assert (figures.base_per_codebook, figures.per_codebook) == ((3.0, 3.0), (2.0, 3.0))
    assert loss_figures([step(1)], None).held_out_loss is None
