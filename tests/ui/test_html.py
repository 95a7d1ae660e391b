"""What the page says: figures as people write them, and nothing that a person wrote taken for HTML."""

import pytest

from heartmula_studio.ui import html

HOSTILE = "<img src=x onerror=alert(1)>\"'</script>"


@pytest.mark.parametrize(
    "made",
    [
        html.badge(HOSTILE),
        html.figure(HOSTILE, HOSTILE),
        html.figures({HOSTILE: HOSTILE}),
        html.notice("error", HOSTILE, HOSTILE),
        html.empty(HOSTILE, HOSTILE, HOSTILE),
        html.card(HOSTILE, [], [HOSTILE]),
        html.progress(50, HOSTILE),
        html.player(HOSTILE, HOSTILE),
        html.lines("error", [HOSTILE]),
    ],
)
def test_what_people_wrote_stays_text(made):
    assert "<img" not in made
    assert "</script>" not in made
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;" in made


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (59.6, "1:00"), (185, "3:05"), (3600, "60:00")])
def test_duration(seconds, said):
    assert html.duration(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min")])
def test_time_left(seconds, said):
    assert html.time_left(seconds) == said


@pytest.mark.parametrize(
    ("num_bytes", "said"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (10**13, "10.0 TB")]
)
def test_size(num_bytes, said):
    assert html.size(num_bytes) == said


def test_when():
    assert html.when("2026-11-05T14:02:09.123456+00:00") == "5 Nov 2026, 14:02 UTC"


def test_progress_is_a_progress_bar():
    made = html.progress(42.857, "3 of 7 songs")
    assert 'role="progressbar"' in made
    assert 'aria-valuenow="43"' in made
    assert "width:42.86%" in made


def test_no_lines_no_list():
    assert html.lines("error", []) == ""
