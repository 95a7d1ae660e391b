"""The verdict on a finished training, in the words that page, REST and shell share."""

import math
from dataclasses import dataclass, replace

from heartmula_studio.finetune.recommendation import Recommendation

ADVICE = "Give more songs, closer to each other, or a lower learning rate."


@dataclass(frozen=True)
class TrainingOutcome:
    """`learned`: whether the held-out loss fell; None where no song was held out.

    is_audible: whether songs can be told from the base's; None where none were rendered.
    """

    learned: bool | None
    message: str
    is_audible: bool | None = None


def training_outcome(
    initial_loss: float | None,
    best_loss: float | None,
    step: int,
    total_steps: int | None = None,
    recommended: Recommendation | None = None,
) -> TrainingOutcome:
    """Judge a training by what was heard in it, else by its held-out losses.

    initial_loss, best_loss: of the base and the lowest after it, in nats; None if not measured. step, total_steps:
    optimizer steps taken, and planned if known. recommended: the rung to use, if there are rungs.
    """
    learnt = outcome_by_loss(initial_loss, best_loss, step, total_steps)
    if step == 0 or recommended is None or recommended.is_audible is None:
        return learnt
    return replace(learnt, message=f"{recommended.verdict} {learnt.message}", is_audible=recommended.is_audible)


def outcome_by_loss(
    initial_loss: float | None, best_loss: float | None, step: int, total_steps: int | None
) -> TrainingOutcome:
    """Judge a training by its held-out losses alone, as `training_outcome`."""
    if step == 0:
        return TrainingOutcome(False, "No step was trained, so the style changes nothing.")
    early = f"Stopped after step {step} of {total_steps}. " if total_steps and step < total_steps else ""
    if initial_loss is None or best_loss is None:
        return TrainingOutcome(None, f"{early}No song was held out, so listen to it to judge what was learnt.")
    change = f"({initial_loss:.4f} → {best_loss:.4f})"
    if not math.isfinite(initial_loss) or not math.isfinite(best_loss):
        return TrainingOutcome(False, f"{early}The held-out loss is not a number {change}; the style may be unusable.")
    if best_loss < initial_loss:
        return TrainingOutcome(True, f"{early}On a song that it has never heard, the loss fell {change}.")
    doubt = f"The held-out loss did not fall {change}; the style may not be audible."
    return TrainingOutcome(False, f"{early}{doubt} {ADVICE}")
