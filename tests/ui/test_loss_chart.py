"""The loss chart, read back from the picture it gives."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from heartmula_studio.ui.loss_chart import HEIGHT, WIDTH, Axis, LossPoints, loss_chart, smoothed, thinned
from tests.training_events import done, evaluation, start, step


def points(*losses: float, held_out: tuple = ()) -> LossPoints:
    return LossPoints(tuple(enumerate(losses, start=1)), held_out)


def picture(losses: LossPoints, log_scale: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(loss_chart(losses, log_scale))


def places(chart: ElementTree.Element, name: str) -> list[tuple[float, float]]:
    """Where the points of a line lie, in the plot's own units."""
    paths = [path.get("d") for path in chart.iter("path") if path.get("class") == name]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"([-\d.]+),([-\d.]+)", path)]


def texts(chart: ElementTree.Element) -> list[str]:
    return [text.text for text in chart.iter("text")]


def test_steps_and_evaluations_become_points():
    events = [start(), evaluation(0, loss=4.0), step(1, loss=3.5), done(1)]
    assert LossPoints.of(events) == LossPoints(train=((1, 3.5),), held_out=((0, 4.0),))


def test_without_points_a_line_says_so():
    assert loss_chart(points()) == '<p class="hint">The curve begins with the first step.</p>'


def test_it_is_described_in_words():
    svg = picture(points(0.9, 0.4512, held_out=((0, 0.8), (1, 0.5), (2, 0.6)))).find("svg")
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == (
        "Loss over steps: first 0.9000 at step 1, last 0.4512 at step 2; lowest held-out 0.5000 at step 1."
    )


def test_one_point_is_a_dot():
    (dot,) = [path for path in picture(points(2.0)).iter("path") if path.get("class") == "line-raw"]
    assert dot.get("d").endswith("h0")


def test_higher_losses_lie_higher_and_later_steps_further_right():
    line = places(picture(points(3.0, 1.0, 2.0)), "line-raw")
    assert [x for x, _ in line] == [0, WIDTH / 2, WIDTH]
    heights = [y for _, y in line]
    assert heights[0] < heights[2] < heights[1]
    assert all(0 <= y <= HEIGHT for y in heights)


def test_a_logarithm_gives_equal_ratios_equal_room():
    (_, first), (_, second), (_, third) = places(picture(points(8.0, 4.0, 2.0), log_scale=True), "line-raw")
    assert second - first == pytest.approx(third - second, abs=0.11)


def test_a_logarithm_leaves_out_zero():
    assert len(places(picture(points(1.0, 0.0, 2.0), log_scale=True), "line-raw")) == 2


@pytest.mark.parametrize("log_scale", [False, True])
@pytest.mark.parametrize("losses", [(2.5,) * 30, (0.0,) * 3, (1e-9, 1e9), (7.0,)])
def test_odd_curves_stay_inside_the_picture(losses, log_scale):
    for name in ("line-raw", "line-smooth"):
        for x, y in places(picture(points(*losses), log_scale), name):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_ten_thousand_points_are_thinned_and_keep_their_extremes():
    losses = [2 + math.sin(step / 300) for step in range(10_000)]
    losses[4321], losses[7654] = 9.0, 0.1
    kept = thinned(points(*losses).train)
    assert len(kept) <= 400
    assert {(4322, 9.0), (7655, 0.1), (1, losses[0]), (10_000, losses[-1])} <= set(kept)
    assert list(kept) == sorted(kept)
    assert len(loss_chart(points(*losses))) < 20_000


def test_few_points_are_all_kept():
    few = points(*range(1, 401)).train
    assert list(thinned(few)) == list(few)


def test_smoothing_is_not_drawn_towards_zero_at_the_start():
    assert [loss for _, loss in smoothed(points(3.0, 3.0, 3.0).train)] == pytest.approx([3.0, 3.0, 3.0])
    assert smoothed(points(4.0, 2.0).train, weight=0.5)[1][1] == pytest.approx((0.5 * 4 + 1 * 2) / 1.5)


def test_held_out_points_are_marked():
    chart = picture(points(3.0, 2.0, held_out=((0, 3.2), (2, 2.1))))
    assert [circle.get("cx") for circle in chart.iter("circle")] == ["0.00%", "100.00%"]
    assert len(places(chart, "line-held")) == 2


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (3.26, 3.57, [3.3, 3.35, 3.4, 3.45, 3.5, 3.55]),
        (0, 15, [0, 5, 10, 15]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert Axis(low, high).ticks(7) == pytest.approx(ticks)


def test_ticks_of_a_logarithm():
    assert Axis(0.05, 8, is_log=True).ticks(7) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2, 5])
    assert Axis(3.2, 3.6, is_log=True).ticks(5) == pytest.approx([3.2, 3.3, 3.4, 3.5, 3.6])


def test_steps_are_labelled_in_whole_numbers():
    chart = picture(points(3.0, 2.0))
    steps = [text.text for text in chart.iter("text") if text.get("text-anchor") == "middle"]
    assert steps == ["1", "2", "Step"]


def test_the_legend_is_in_words():
    legend = picture(points(1.0)).find("div")
    assert [span.text for span in legend] == ["Each step", "Smoothed", "Held-out song"]
