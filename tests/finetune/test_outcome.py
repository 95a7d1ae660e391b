"""What is said of a finished training, everywhere. Issue 24, 9: "ready" is not said where nothing was learnt."""

import math

import pytest

from heartmula_studio.finetune.outcome import training_outcome


@pytest.mark.parametrize(
    ("initial", "best", "step", "learned", "said"),
    [
        (3.16, 2.9, 60, True, "the loss fell (3.1600 → 2.9000)"),
        (3.16, 3.2, 60, False, "did not fall (3.1600 → 3.2000); the style may not be audible"),
        (3.16, 3.16, 60, False, "did not fall (3.1600 → 3.1600)"),
        (None, None, 60, None, "No song was held out"),
        (3.16, None, 60, None, "listen to it to judge"),
        (3.16, math.nan, 60, False, "not a number (3.1600 → nan)"),
        (math.inf, 3.0, 60, False, "not a number (inf → 3.0000)"),
        (3.16, None, 0, False, "No step was trained"),
        (3.16, 2.9, 20, True, "Stopped after step 20 of 60. On a song"),
        (3.16, 3.2, 20, False, "Stopped after step 20 of 60. The held-out loss did not fall"),
    ],
)
def test_outcome(initial, best, step, learned, said):
    outcome = training_outcome(initial, best, step, total_steps=60)
    assert outcome.learned is learned
    assert said in outcome.message
    assert ("Stopped" in outcome.message) == (0 < step < 60)
