"""The loss over the steps as one picture that fits any width; colours come from the style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from heartmula_studio.finetune.events import EvalEvent, StepEvent, TrainingEvent

Point = tuple[int, float]

HEIGHT = 240  # of the plot, in pixels; its width is 1000 of its own units, however wide the page is
WIDTH = 1000
MAX_POINTS = 400  # of a line
SMOOTHING = 0.9
MOST_ROWS, MOST_COLUMNS = 7, 5
FEWEST_LOG_TICKS = 3
MARGIN = 0.05
NICE = (1, 2, 5, 10)
NOTHING_YET = "The curve begins with the first step."
LEGEND = (
    '<div class="legend"><span>Each step</span><span class="legend-smooth">Smoothed</span>'
    '<span class="legend-held">Held-out song</span></div>'
)
STYLE = "height:292px;padding:10px 20px 42px 50px;box-sizing:border-box;overflow:visible"


@dataclass(frozen=True)
class LossPoints:
    """The measured losses in the order of their steps."""

    train: tuple[Point, ...]
    held_out: tuple[Point, ...]

    @classmethod
    def of(cls, events: Sequence[TrainingEvent]) -> "LossPoints":
        train = tuple((event.step, event.loss) for event in events if isinstance(event, StepEvent))
        return cls(train, tuple((event.step, event.loss) for event in events if isinstance(event, EvalEvent)))

    def above_zero(self) -> "LossPoints":
        """Return the positive losses, which have a logarithm."""
        return LossPoints(*(tuple(p for p in points if p[1] > 0) for points in (self.train, self.held_out)))


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, linear or logarithmic."""

    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value, from 0 (`low`) to 1 (`high`)."""
        low, high, value = map(math.log, (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        return (value - low) / (high - low)

    def ticks(self, most: int) -> list[float]:
        """Round numbers along the axis."""
        found = log_ticks(self.low, self.high, most) if self.is_log else []
        return found if len(found) >= FEWEST_LOG_TICKS else linear_ticks(self.low, self.high, most)


def loss_chart(points: LossPoints, log_scale: bool = False) -> str:
    """HTML: the loss of each step, smoothed, and that of the held-out song, with axes and a legend in words."""
    points = points.above_zero() if log_scale else points
    if not points.train and not points.held_out:
        return f'<p class="hint">{NOTHING_YET}</p>'
    picture, label = drawn(points, log_scale), escape(described(points))
    svg = f'<svg role="img" aria-label="{label}" width="100%" style="{STYLE}">{picture}</svg>'
    return f'<div class="chart">{svg}{LEGEND}</div>'


def described(points: LossPoints) -> str:
    """Return the curve in words, for screen readers."""
    said = []
    if points.train:
        (first, first_loss), (last, last_loss) = points.train[0], points.train[-1]
        said.append(f"first {first_loss:.4f} at step {first}, last {last_loss:.4f} at step {last}")
    if points.held_out:
        step, loss = min(points.held_out, key=lambda point: point[1])
        said.append(f"lowest held-out {loss:.4f} at step {step}")
    return f"Loss over steps: {'; '.join(said)}."


def drawn(points: LossPoints, log_scale: bool) -> str:
    everything = points.train + points.held_out
    x = Axis(*spread([step for step, _ in everything]))
    y = Axis(*margined([loss for _, loss in everything], log_scale), log_scale)
    lines = [
        line("line-raw", points.train, x, y),
        line("line-smooth", smoothed(points.train), x, y),
        line("line-held", points.held_out, x, y),
    ]
    return (
        f'{grid(x, y)}<svg width="100%" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'overflow="visible">{"".join(lines)}</svg>{marks(points.held_out, x, y)}'
    )


def line(name: str, points: Sequence[Point], x: Axis, y: Axis) -> str:
    if not points:
        return ""
    places = [f"{WIDTH * x.place(step):.1f},{HEIGHT * (1 - y.place(loss)):.1f}" for step, loss in thinned(points)]
    # A line of one point is a dot: its ends are round.
    path = f"M{'L'.join(places)}" + ("h0" if len(places) == 1 else "")
    return f'<path class="{name}" d="{path}" fill="none" stroke-linecap="round" vector-effect="non-scaling-stroke"/>'


def marks(points: Sequence[Point], x: Axis, y: Axis) -> str:
    """A ring around each point of a line that has few."""
    return "".join(
        f'<circle class="line-held" style="stroke-dasharray:none" r="3" cx="{100 * x.place(step):.2f}%" '
        f'cy="{HEIGHT * (1 - y.place(loss)):.1f}"/>'
        for step, loss in thinned(points, 60)
    )


def grid(x: Axis, y: Axis) -> str:
    rows = ((HEIGHT * (1 - y.place(tick)), f"{tick:.4g}") for tick in y.ticks(MOST_ROWS))
    columns = ((100 * x.place(tick), f"{tick:,.0f}") for tick in x.ticks(MOST_COLUMNS) if tick == round(tick))
    return (
        "".join(
            f'<line class="grid" x1="0" x2="100%" y1="{place:.1f}" y2="{place:.1f}"/>'
            f'<text class="axis" x="-8" y="{place + 4:.1f}" text-anchor="end">{label}</text>'
            for place, label in rows
        )
        + "".join(
            f'<text class="axis" x="{place:.2f}%" y="{HEIGHT + 18}" text-anchor="middle">{label}</text>'
            for place, label in columns
        )
        + f'<text class="axis" x="50%" y="{HEIGHT + 38}" text-anchor="middle">Step</text>'
    )


def smoothed(points: Sequence[Point], weight: float = SMOOTHING) -> list[Point]:
    """The exponential moving average, corrected for its beginning at zero as in Adam (arXiv 1412.6980)."""
    mean, smooth = 0.0, []
    for count, (step, loss) in enumerate(points, start=1):
        mean = weight * mean + (1 - weight) * loss
        smooth.append((step, mean / (1 - weight**count)))
    return smooth


def thinned(points: Sequence[Point], limit: int = MAX_POINTS) -> Sequence[Point]:
    """At most `limit` points: of each stretch its lowest and its highest, besides the first and the last."""
    if len(points) <= limit:
        return points
    stretches = (limit - 2) // 2
    kept = {0, len(points) - 1}
    for number in range(stretches):
        stretch = range(number * len(points) // stretches, (number + 1) * len(points) // stretches)
        kept |= {pick(stretch, key=lambda index: points[index][1]) for pick in (min, max)}
    return [points[index] for index in sorted(kept)]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest, and a little apart where they are one."""
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 1, high + 1)


def margined(values: Sequence[float], log_scale: bool) -> tuple[float, float]:
    """The lowest and the highest with some room around them."""
    low, high = min(values), max(values)
    if log_scale:
        room = (high / low) ** MARGIN if low < high else 1 + MARGIN
        return low / room, high * room
    room = MARGIN * (high - low or abs(high) or 1)
    return low - room, high + room


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """About `most` multiples, or fewer, of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in NICE if nice * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """1, 2 and 5 times powers of ten, or the powers alone where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = NICE[:1] if len(powers) > most else NICE[:3]
    return [tick for power in powers for factor in factors if low <= (tick := factor * 10.0**power) <= high]
