"""How alike two results are: bit for bit, or in numbers up to rounding."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Losses = Mapping[tuple[str, int], float]
"""Each loss by its kind and step."""

LOSS_TOLERANCE = 1e-6
"""The largest relative difference between losses that rounding explains; float32 rounds by up to 6e-8."""
SAME, DIFFERENT = "same", "DIFFERENT"


def exactly(new: Any, old: Any) -> str:
    """Return SAME where `new` has all values of `old`, bit for bit; objects may have gained some."""
    return SAME if agrees(new, old) else DIFFERENT


def agrees(new: Any, old: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() <= new.keys() and all(agrees(new[name], value) for name, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(agrees, new, old))
    return new == old


def up_to_a_step(new: bytes, old: bytes) -> str:
    """Compare 16-bit samples: SAME, how many are off by one, as rounding makes a few, or DIFFERENT and by how much."""
    if len(new) != len(old):
        return f"{DIFFERENT}: {len(new)} bytes instead of {len(old)}"
    off = np.abs(np.frombuffer(new, np.int16).astype(np.int32) - np.frombuffer(old, np.int16))
    if not off.any():
        return SAME
    return f"{off.astype(bool).mean():.1e} of the samples off by one" if off.max() == 1 else f"{DIFFERENT}: {off.max()}"


def up_to_rounding(new: Losses, old: Losses) -> str:
    """Return SAME, by how much they differ where that is no more than LOSS_TOLERANCE, or DIFFERENT and by how much."""
    if not old.keys() <= new.keys():
        return f"{DIFFERENT}: steps are missing"
    largest = max((abs(new[step] - loss) / abs(loss) for step, loss in old.items()), default=0.0)
    if largest == 0:
        return SAME
    return f"{'within' if largest <= LOSS_TOLERANCE else DIFFERENT + ':'} {largest:.1e}"
