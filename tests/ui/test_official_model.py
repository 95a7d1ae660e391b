"""The official model on the Models tab."""

import pytest

from heartmula_studio.store.records import Failure
from heartmula_studio.store.views import ModelState
from heartmula_studio.ui.official_model import actions_for, model_html

MODEL = ModelState("m", "A <b>model</b>", "Apache-2.0", "absent", 2 * 10**9, 0, 10**10)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("absent", ["Download"]),
        ("incomplete", ["Resume the download", "Remove"]),
        ("downloading", ["Stop"]),
        ("verifying", ["Stop"]),
        ("complete", ["Verify", "Remove"]),
    ],
)
def test_only_what_can_be_done_has_a_button(status, shown):
    state = ModelState(**{**vars(MODEL), "status": status})
    assert actions_for(state) == shown


def test_a_model_says_what_it_is_and_what_went_wrong():
    state = ModelState(**{**vars(MODEL), "done_bytes": 10**9, "error": Failure("hub", "It came <cut off>.", "Again.")})
    html = model_html(state)
    assert "A &lt;b&gt;model&lt;/b&gt;. Licence: Apache-2.0. 2.0 GB." in html
    assert "50 %" in html
    assert "It came &lt;cut off&gt;." in html
