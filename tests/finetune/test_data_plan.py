import numpy as np
import pytest

from heartmula_studio.finetune.data_plan import RunPlan, draw_example, epoch_order, frame_counts


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
