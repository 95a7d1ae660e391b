"""Which rung of a run is recommended, and why, in the words that page, REST and shell share. Loads no torch."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from heartmula_studio.errors import CheckpointError
from heartmula_studio.finetune.checkpoint_meta import CheckpointMeta
from heartmula_studio.finetune.figures import Figures
from heartmula_studio.finetune.run_folder import RunFolder

ENDS_MORE = 0.5  # a share of songs that end by themselves above the base's by this much is no accident
ONLY_LISTENING = "Trained. Listen to it to judge what it has learnt."
LONGER = "Train longer: more epochs, or the next larger preset."


@dataclass(frozen=True)
class RungFigures:
    """A rung and its figures."""

    step: int
    figures: Figures


@dataclass(frozen=True)
class Recommendation:
    """The rung to use. is_audible is None where nobody listened; `reason` and `verdict` are a sentence each."""

    step: int
    reason: str
    verdict: str
    is_audible: bool | None


def recommended_rung(folder: RunFolder) -> Recommendation | None:
    """Recommend one of the rungs in a run's folder; None where there is none. Damaged ones are left out."""
    rungs = []
    for step in folder.rung_steps():
        with suppress(CheckpointError):
            rungs.append(RungFigures(step, CheckpointMeta.read(folder.rung(step)).figures or Figures()))
    return recommend(rungs)


def recommend(rungs: Sequence[RungFigures]) -> Recommendation | None:
    """Choose among rungs in the order of their steps; None where there is none.

    The audible ones come first of which nothing is copied, whose songs end as the base's do and whose losses raise no
    alarm; of these the one nearest to the tracks. The held-out loss chooses nothing: it is often lowest where nothing
    can be heard yet.
    """
    if not rungs:
        return None
    sound = [rung for rung in rungs if not faults(rung.figures)]
    audible = [rung for rung in sound if rung.figures.is_audible]
    if audible:
        return _audible(max(audible, key=lambda rung: (rung.figures.nearness or 0.0, -rung.step)))
    if any(rung.figures.is_audible is not None for rung in rungs):
        return _not_audible(rungs, sound)
    return _unheard(sound[-1]) if sound else _alarmed(rungs[0])


def faults(figures: Figures) -> tuple[str, ...]:
    """Return what speaks against a rung, a clause each."""
    found = []
    if figures.is_near_copy:
        where = f" ({figures.copied_track} at {figures.copied_sec or 0:.0f} s)" if figures.copied_track else ""
        found.append(f"a song comes close to a track{where}")
    if ends_early(figures):
        found.append("songs end by themselves more often than the base's")
    if figures.alarm == "overfitting":
        found.append("the loss on the held-out song is past its lowest")
    if figures.alarm == "diverging":
        found.append("the loss is rising")
    return tuple(found)


def ends_early(figures: Figures) -> bool:
    if figures.ended_share is None or figures.base_ended_share is None:
        return False
    return figures.ended_share >= figures.base_ended_share + ENDS_MORE


def _audible(rung: RungFigures) -> Recommendation:
    reason = (
        f"Step {rung.step}: the closest to your tracks of those that are audible; nothing is copied, songs end "
        "no more often than the base's, and the losses raise no alarm."
    )
    return Recommendation(
        rung.step,
        reason,
        f"Your style is ready: at step {rung.step} its songs sound clearly different from the base's.",
        True,
    )


def _not_audible(rungs: Sequence[RungFigures], sound: Sequence[RungFigures]) -> Recommendation:
    """No rung is both audible and sound."""
    flawed = [rung for rung in rungs if rung.figures.is_audible]
    if flawed:
        first = flawed[0]
        said = "; ".join(faults(first.figures))
        reason = f"Step {first.step}: the first that is audible, but {said}."
        return Recommendation(first.step, reason, f"Audible from step {first.step}, but {said}. Listen closely.", True)
    last = (sound or rungs)[-1]
    reason = f"Step {last.step}: the furthest {'without an alarm' if sound else 'there is'}; no rung is audible yet."
    return Recommendation(
        last.step, reason, f"Not audible yet: no song sounds different from the base's. {LONGER}", False
    )


def _alarmed(rung: RungFigures) -> Recommendation:
    reason = f"Step {rung.step}: the earliest, because each raises an alarm: {'; '.join(faults(rung.figures))}."
    return Recommendation(rung.step, reason, ONLY_LISTENING, None)


def _unheard(rung: RungFigures) -> Recommendation:
    reason = f"Step {rung.step}: the furthest without an alarm from the losses; nothing was rendered to listen to."
    return Recommendation(rung.step, reason, ONLY_LISTENING, None)
