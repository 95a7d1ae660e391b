import pytest

from heartmula_studio.finetune.schedule import learning_rate


def curve(total: int, schedule: str, warmup_ratio: float) -> list[float]:
    return [learning_rate(step, total, 1.0, schedule, warmup_ratio) for step in range(total)]


def test_warm_up_rises_in_a_line_and_reaches_the_peak():
    assert curve(20, "constant", 0.2) == pytest.approx([0.25, 0.5, 0.75, *[1.0] * 17])


def test_cosine_falls_from_the_peak_to_the_half_to_almost_nothing():
    rates = curve(101, "cosine", 0.0)
    assert rates[0] == 1.0
    assert rates[50] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 0.001
    assert rates == sorted(rates, reverse=True)


def test_no_warm_up_starts_at_the_peak():
    assert learning_rate(0, 1, 1e-4, "cosine", 0.0) == 1e-4


def test_warm_up_may_take_the_whole_run():
    assert curve(4, "cosine", 1.0) == pytest.approx([0.25, 0.5, 0.75, 1.0])
