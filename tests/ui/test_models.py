"""What a style's card says, from records made here."""

import pytest

from heartmula_studio.store.records import Checkpoint, Parent, TrackRights
from heartmula_studio.ui.models import checkpoint_card, rights_line

NOW = "2026-11-25T14:02:00.000000+00:00"


def style(**values) -> Checkpoint:
    return Checkpoint("id", "Night", (), "lora", {}, None, None, 1, NOW, **values)


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ((), ""),
        (("unknown",) * 6, "Rights of its 6 songs: not stated"),
        (("own",), "Rights of its 1 song: own"),
        (("own", "own", "unknown"), "Rights of its 3 songs: 2 own, 1 not stated"),
    ],
)
def test_rights_are_said_in_words(rights, said):
    assert rights_line(style(rights=tuple(TrackRights(str(n), "", of) for n, of in enumerate(rights)))) == said


def test_a_card_says_what_was_heard_of_it_and_where_it_comes_from():
    figures = {"is_audible": False, "is_near_copy": True, "copied_track": "<b>", "copied_sec": 3.0}
    card = checkpoint_card(style(figures=figures, parent=Parent("one", "Dawn")))
    for said in ("Not audible yet", "Near-copy of &lt;b&gt; at 0:03", "Trained further from Dawn"):
        assert said in card
    assert "audible" not in checkpoint_card(style())
