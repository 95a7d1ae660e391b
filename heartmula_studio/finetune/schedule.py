"""The learning rate as a pure function of the step, so that there is no scheduler state to save."""

import math


def warmup_steps(total_steps: int, warmup_ratio: float) -> int:
    return math.ceil(total_steps * warmup_ratio)


def learning_rate(step: int, total_steps: int, peak: float, schedule: str, warmup_ratio: float) -> float:
    """Return the rate of `step` (counted from 0): a linear rise to `peak`, then constant, or a half cosine towards 0.

    Cosine schedule: Loshchilov and Hutter, SGDR (arXiv 1608.03983), one cycle.
    """
    assert 0 <= step < total_steps, (step, total_steps)
    warmup = warmup_steps(total_steps, warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))
