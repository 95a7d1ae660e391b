"""The demo's evidence: a table of losses and a plot of the run."""

from dataclasses import dataclass
from pathlib import Path

from heartmula_studio.finetune.events import EvalEvent, StepEvent, read_events

SMOOTHING = 0.9


@dataclass(frozen=True)
class LossChange:
    """Losses in nats on one set of songs, before and after."""

    songs: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """Relative change; negative is better."""
        return self.after / self.before - 1


def results_table(changes: list[LossChange]) -> str:
    """A Markdown table that also reads well in a terminal."""
    rows = [("Loss on", "before", "after", "change")]
    rows += [(c.songs, f"{c.before:.4f}", f"{c.after:.4f}", f"{c.change:+.1%}") for c in changes]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def plot_losses(metrics: Path, out: Path) -> None:
    """Draw training loss (raw and smoothed) and held-out loss over the steps."""
    from matplotlib.figure import Figure  # which no other command needs, and would wait for

    events = list(read_events(metrics))
    steps = [(event.step, event.loss) for event in events if isinstance(event, StepEvent)]
    evaluations = [(event.step, event.loss) for event in events if isinstance(event, EvalEvent)]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*steps, strict=True), color="#7c3aed", alpha=0.25, label="training, each step")
    axes.plot([step for step, _ in steps], smoothed([loss for _, loss in steps]), color="#7c3aed", label="training")
    if evaluations:
        axes.plot(*zip(*evaluations, strict=True), color="#06b6d4", marker="o", markersize=3, label="held-out song")
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.legend(frameon=False)
    figure.savefig(out, dpi=120)


def smoothed(values: list[float]) -> list[float]:
    """Exponential moving average, started at the first value."""
    result, mean = [], values[0]
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        result.append(mean)
    return result
