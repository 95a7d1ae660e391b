import numpy as np
import pytest

from heartmula_studio.finetune.data_plan import (
    RunPlan,
    draw_example,
    draw_noise,
    draw_stretch,
    epoch_order,
    frame_counts,
)


def test_every_epoch_is_another_permutation_of_all_examples():
    orders = [epoch_order(seed=0, epoch=epoch, num_examples=50) for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], epoch_order(seed=1, epoch=0, num_examples=50))


@pytest.mark.parametrize(("processes", "batch_size", "accumulation"), [(1, 4, 1), (2, 2, 1), (2, 1, 2), (4, 1, 1)])
def test_a_step_has_the_same_examples_however_it_is_shared_out(processes, batch_size, accumulation):
    plan = RunPlan(11, processes * batch_size * accumulation, epochs=2, max_steps=None, seed=3)
    reference = RunPlan(11, 4, epochs=2, max_steps=None, seed=3)
    assert plan.total_steps == 6
    for number in range(plan.total_steps):
        step = plan.step(number)
        shares = [
            step.share(micro_step, process, processes, batch_size)
            for micro_step in range(step.num_micro_steps(processes, batch_size))
            for process in range(processes)
        ]
        assert tuple(i for share in shares for i in share) == reference.step(number).examples


def test_max_steps_cuts_the_run_and_its_end_is_evaluated():
    plan = RunPlan(num_examples=10, step_size=2, epochs=100, max_steps=12, seed=0)
    assert plan.total_steps == 12
    assert [step for step in range(13) if plan.is_evaluated(step)] == [0, 5, 10, 12]
    assert [plan.num_evaluations_after(step) for step in (0, 5, 11, 12)] == [3, 2, 1, 0]


def test_draws_depend_on_seed_epoch_and_example_only():
    first = draw_example(0, 1, 2, 100, 0.5, 0.3)
    again = draw_example(0, 1, 2, 100, 0.5, 0.3)
    assert first.unconditional == again.unconditional
    assert np.array_equal(first.depth_frames, again.depth_frames)
    others = [draw_example(*key, 100, 0.5, 0.3) for key in ((1, 1, 2), (0, 2, 2), (0, 1, 3))]
    assert not any(np.array_equal(first.depth_frames, other.depth_frames) for other in others)


def test_one_prompt_in_ten_is_dropped():
    dropped = [draw_example(0, epoch, i, 5, 0.1, 1.0).unconditional for epoch in range(20) for i in range(200)]
    assert np.mean(dropped) == pytest.approx(0.1, abs=0.02)


def test_depth_frames_are_a_sorted_subset_without_repeats():
    frames = draw_example(0, 0, 0, 40, 0.1, 0.25).depth_frames
    assert len(frames) == 10
    assert sorted(set(frames)) == list(frames)
    assert frames.max() < 40
    assert draw_example(0, 0, 0, 40, 0.1, 1.0).depth_frames.tolist() == list(range(40))
    assert len(draw_example(0, 0, 0, 3, 0.1, 0.01).depth_frames) == 1


def test_frame_counts_are_known_before_any_frame_is_drawn():
    lengths = [10, 7, 1]
    drawn = sum(len(draw_example(0, 0, i, n, 0.1, 0.3).depth_frames) for i, n in enumerate(lengths))
    assert frame_counts(lengths, 0.3, num_codebooks=8) == [18] + [drawn] * 7


def test_windows_are_drawn_by_seed_epoch_and_example_only():
    def stretches(seed: int, epoch: int, reaches_beyond: bool = False) -> list[tuple[int, int]]:
        return [draw_stretch(seed, epoch, example, 375, (100, 125), reaches_beyond) for example in range(200)]

    drawn = stretches(0, 1)
    assert drawn == stretches(0, 1)
    assert len({start for start, _ in drawn}) > 100
    assert drawn != stretches(0, 2)
    assert drawn != stretches(1, 1)
    assert {length for _, length in drawn} == set(range(100, 126))
    assert all(0 <= start <= 375 - length for start, length in drawn)


def test_the_end_of_a_track_comes_up_as_often_as_others_where_windows_reach_beyond_it():
    def ends(reaches_beyond: bool) -> int:
        drawn = [draw_stretch(0, 0, example, 375, (100, 100), reaches_beyond) for example in range(400)]
        return sum(start + length == 375 for start, length in drawn)

    assert ends(False) < 10
    assert 20 < ends(True) < 60


def test_a_track_shorter_than_a_window_is_drawn_whole():
    assert {draw_stretch(0, epoch, 0, 50, (100, 125), True) for epoch in range(9)} == {(0, 50)}


def test_noise_depends_on_seed_epoch_and_example_only():
    is_wrong, sources = draw_noise(0, 0, 3, (50, 8), 0.2)
    assert all(map(np.array_equal, draw_noise(0, 0, 3, (50, 8), 0.2), (is_wrong, sources)))
    assert not np.array_equal(draw_noise(0, 1, 3, (50, 8), 0.2)[0], is_wrong)
    assert is_wrong.shape == sources.shape == (50, 8)
    assert 0.1 < is_wrong.mean() < 0.3
    assert 0 <= sources.min() <= sources.max() < 50
