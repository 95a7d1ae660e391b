"""Data order and all per-example randomness, as pure functions of (seed, epoch, example).

Nothing depends on the process, the place in a batch or what was drawn before. That is what makes a resumed run
repeat itself bit for bit, and two processes give the losses of one with twice the batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ORDER, _EXAMPLE, _TORCH, _WINDOW, _NOISE, _VERSION = range(6)  # separate random streams under one seed


@dataclass(frozen=True)
class ExampleDraw:
    """Random choices for one example in one epoch."""

    unconditional: bool  # the prompt is replaced by the unconditional embedding
    depth_frames: np.ndarray  # sorted indices of the target frames the depth decoder trains on


@dataclass(frozen=True)
class StepPlan:
    """The examples of one optimizer step, in the order of the epoch."""

    epoch: int
    examples: tuple[int, ...]

    def share(self, micro_step: int, process: int, num_processes: int, batch_size: int) -> tuple[int, ...]:
        """Return the examples of `process` in a micro-step; nothing where the last step of an epoch runs out."""
        start = (micro_step * num_processes + process) * batch_size
        return self.examples[start : start + batch_size]

    def num_micro_steps(self, num_processes: int, batch_size: int) -> int:
        return math.ceil(len(self.examples) / (num_processes * batch_size))


@dataclass(frozen=True)
class RunPlan:
    """All optimizer steps of a run."""

    num_examples: int
    step_size: int  # examples in one optimizer step, over all processes and micro-steps
    epochs: int
    max_steps: int | None
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.num_examples / self.step_size)

    @property
    def total_steps(self) -> int:
        steps = self.epochs * self.steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def epochs_done(self, step: int) -> int:
        """Count the epochs completed after `step` steps."""
        return step // self.steps_per_epoch

    def is_evaluated(self, step: int) -> bool:
        """Tell whether the held-out loss is due after `step` steps: at the start, at epoch ends and at the end."""
        return step % self.steps_per_epoch == 0 or step == self.total_steps

    def num_evaluations_after(self, step: int) -> int:
        at_epoch_ends = self.epochs_done(self.total_steps) - self.epochs_done(step)
        at_a_cut_off_end = self.total_steps % self.steps_per_epoch != 0 and step < self.total_steps
        return at_epoch_ends + at_a_cut_off_end

    def step(self, step: int) -> StepPlan:
        """Return step number `step`, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = epoch_order(self.seed, epoch, self.num_examples)
        examples = order[place * self.step_size : (place + 1) * self.step_size]
        return StepPlan(epoch, tuple(int(i) for i in examples))


def epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """Draw the permutation of the examples for one epoch."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(num_examples)


def num_depth_frames(num_frames: int, depth_frame_fraction: float) -> int:
    """Count the target frames of an example that the depth decoder trains on; at least one."""
    return max(1, round(num_frames * depth_frame_fraction))


def draw_example(
    seed: int, epoch: int, example: int, num_frames: int, conditioning_dropout: float, depth_frame_fraction: float
) -> ExampleDraw:
    """Make the random choices for `example` in `epoch`."""
    rng = np.random.default_rng([seed, _EXAMPLE, epoch, example])
    unconditional = bool(rng.random() < conditioning_dropout)
    depth_frames = rng.choice(num_frames, num_depth_frames(num_frames, depth_frame_fraction), replace=False)
    return ExampleDraw(unconditional, np.sort(depth_frames))


def draw_stretch(
    seed: int, epoch: int, example: int, track_frames: int, allowed_frames: tuple[int, int], reaches_beyond: bool
) -> tuple[int, int]:
    """Draw the window of `example` in `epoch`: its first frame and its length, the whole track where that is shorter.

    allowed_frames: the shortest and the longest window. reaches_beyond: starts are drawn up to a quarter of a window
    too late, and then moved back, so that the track's last frames come up as often as others.
    """
    rng = np.random.default_rng([seed, _WINDOW, epoch, example])
    length = min(track_frames, int(rng.integers(*allowed_frames, endpoint=True)))
    last_start = track_frames - length
    start = int(rng.integers(0, last_start + reaches_beyond * (length // 4), endpoint=True))
    return min(start, last_start), length


def draw_version(seed: int, epoch: int, example: int, num_versions: int) -> int:
    """Draw which version of its track `example` is from in `epoch`, by number."""
    return int(np.random.default_rng([seed, _VERSION, epoch, example]).integers(num_versions))


def draw_noise(
    seed: int, epoch: int, example: int, shape: tuple[int, int], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which codes of a window [F, K] are heard wrong, and the frames whose codes take their place, both [F, K]."""
    rng = np.random.default_rng([seed, _NOISE, epoch, example])
    return rng.random(shape) < share, rng.integers(0, shape[0], shape)


def torch_seed(seed: int, step: int, place: int) -> int:
    """Return the seed of torch's own generator (LoRA dropout) for micro-batch `place` of `step`."""
    return int(np.random.default_rng([seed, _TORCH, step, place]).integers(2**63))


def frame_counts(num_frames: Sequence[int], depth_frame_fraction: float, num_codebooks: int) -> list[int]:
    """Count the frames each codebook is scored on in a batch whose examples have `num_frames` targets each."""
    depth = sum(num_depth_frames(n, depth_frame_fraction) for n in num_frames)
    return [sum(num_frames)] + [depth] * (num_codebooks - 1)
