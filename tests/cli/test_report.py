"""The demo's table and plot."""

from heartmula_studio.cli.report import LossChange, plot_losses, results_table, smoothed
from tests.training_events import evaluation, lines, step


def test_table_shows_losses_to_four_decimals_and_the_change():
    table = results_table([LossChange("held-out song", 4.0, 3.8), LossChange("another style", 4.0, 4.04)])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[2] == ["held-out song", "4.0000", "3.8000", "-5.0%"]
    assert rows[3] == ["another style", "4.0000", "4.0400", "+1.0%"]


def test_smoothing_starts_at_the_first_value_and_follows():
    assert smoothed([2.0, 2.0]) == [2.0, 2.0]
    assert 1.0 < smoothed([2.0] + [1.0] * 10)[-1] < 1.5


def test_plot_is_a_picture(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(lines(evaluation(0, loss=5.0), step(1, loss=4.0), step(2, loss=3.0)))
    plot_losses(metrics, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
