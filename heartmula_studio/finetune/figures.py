"""Figures of a rung, beside what the ear says: is the training audible, copied, complete. Loads no torch."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from heartmula_studio.finetune.events import EvalEvent, StepEvent, TrainingEvent

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Alarm = Literal["overfitting", "diverging"]

ROSE = 1.05  # a held-out loss above this many times its lowest is more than the noise of a song or two
DIVERGED = 1.1  # a loss of training above this many times what it was at first
COMPARED_STEPS = 5  # of which a loss of training is the median


@dataclass(frozen=True)
class LossFigures:
    """Losses on held-out tracks in nats, after training and (`base_`) before it; None where no track is held out.

    shuffled_loss: with the captions of other tracks; close to `held_out_loss` where captions are not listened to.
    """

    held_out_loss: Number | None = None
    base_held_out_loss: Number | None = None
    per_codebook: tuple[Number, ...] = ()
    base_per_codebook: tuple[Number, ...] = ()
    shuffled_loss: Number | None = None
    alarm: Alarm | None = None


@dataclass(frozen=True)
class ListeningFigures:
    """What a rung's songs sound like beside the base's, whose prompts and seeds are the same; None where not measured.

    told: the share of songs that a classifier of clips puts down rightly to training or base; .5 is chance.
    nearness: place of the songs between the base's (0) and the tracks after the codec (1). Above nearness_threshold, it
    is more than base songs differ among themselves: is_audible.
    copied_changes: the longest run of code changes that a song shares in order with a track (`copied_track`, from
    `copied_sec` on); copy_yardstick: what a real other song shares.
    ended_share, base_ended_share: of songs that ended by themselves.
    """

    told: Share | None = None
    nearness: Number | None = None
    nearness_threshold: Number | None = None
    is_audible: bool | None = None
    copied_changes: int | None = None
    copy_yardstick: int | None = None
    copied_track: str | None = None
    copied_sec: Number | None = None
    is_near_copy: bool | None = None
    ended_share: Share | None = None
    base_ended_share: Share | None = None


@dataclass(frozen=True)
class Figures(ListeningFigures, LossFigures):
    """All figures of a rung."""


def loss_figures(events: Iterable[TrainingEvent], shuffled_loss: float | None) -> LossFigures:
    """Read the held-out losses of a run's events so far, of which the last is a rung's, and raise an alarm."""
    events = list(events)
    evaluations = [event for event in events if isinstance(event, EvalEvent)]
    alarm = loss_alarm([e.loss for e in evaluations], [e.loss for e in events if isinstance(e, StepEvent)])
    if not evaluations:
        return LossFigures(alarm=alarm)
    first, last = evaluations[0], evaluations[-1]
    return LossFigures(last.loss, first.loss, last.per_codebook, first.per_codebook, shuffled_loss, alarm)


def loss_alarm(held_out: list[float], training: list[float]) -> Alarm | None:
    """Tell what is wrong with losses so far: training's own has risen, or the held-out one is past its lowest."""
    if len(training) >= 2 * COMPARED_STEPS:
        first, last = training[:COMPARED_STEPS], training[-COMPARED_STEPS:]
        if statistics.median(last) > DIVERGED * statistics.median(first):
            return "diverging"
    if held_out and held_out[-1] > ROSE * min(held_out):
        return "overfitting"
    return None
