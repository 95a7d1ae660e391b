"""Pieces of HTML. Every text that comes in is escaped here, so no caller can forget it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape as escape

KIND_ICONS = {"info": "💡", "warning": "⚠️", "error": "⛔", "success": "✅"}


def badge(status: str) -> str:
    """The coloured state of a dataset, a job, a song or a checkpoint."""
    return f'<span class="badge badge-{escape(status)}">{escape(status.capitalize())}</span>'


def figure(label: str, value: object) -> str:
    """A number with its name."""
    return (
        f'<div class="figure"><span class="figure-label">{escape(label)}</span>'
        f'<span class="figure-value">{escape(str(value))}</span></div>'
    )


def figures(values: Mapping[str, object]) -> str:
    """A row of numbers with their names."""
    return f'<div class="figures">{"".join(figure(label, value) for label, value in values.items())}</div>'


def notice(kind: str, title: str, text: str = "") -> str:
    """A line that stands out. kind: info, warning, error or success."""
    role = "alert" if kind == "error" else "status"
    detail = f"<span>{escape(text)}</span>" if text else ""
    icon = f'<span aria-hidden="true">{KIND_ICONS[kind]}</span>'
    return f'<div class="notice notice-{kind}" role="{role}">{icon}<div><b>{escape(title)}</b> {detail}</div></div>'


def empty(icon: str, title: str, text: str) -> str:
    """A placeholder for an empty list: what to do first."""
    return (
        f'<div class="empty"><div class="empty-icon" aria-hidden="true">{escape(icon)}</div>'
        f'<p class="empty-title">{escape(title)}</p><p class="empty-text">{escape(text)}</p></div>'
    )


def card(title: str, badges: Sequence[str], lines: Iterable[str], level: int = 3, image_url: str = "") -> str:
    """The text of a card: its title, badges that are HTML already, and lines of text.

    level: of the title as a heading; 2 where the card stands in no section that has a heading of its own.
    image_url: of a picture beside it, if any.
    """
    image = cover(image_url, "card-cover") if image_url else ""
    marks = f'<div class="card-badges">{" ".join(badges)}</div>' if badges else ""
    meta = "".join(f'<p class="card-meta">{escape(line)}</p>' for line in lines if line)
    return f'{image}<h{level} class="card-title" dir="auto">{escape(title)}</h{level}>{marks}{meta}'


def cover(url: str, css_class: str) -> str:
    """A song's cover image, which says nothing that the title beside it does not."""
    return f'<img class="{css_class}" src="{escape(url)}" alt="" loading="lazy">'


def progress(percent: float, label: str) -> str:
    """A bar that screen readers know as one; `label` names what progresses."""
    value, text = f"{percent:.0f}", escape(label)
    return (
        f'<div class="progress" role="progressbar" aria-label="{text}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{value}"><span style="width:{percent:.2f}%"></span></div><p class="hint">{text}</p>'
    )


def bar(name: str, value: str, share: float) -> str:
    """A line of a ranking: a name and its value over a bar of `share` of the width."""
    return (
        f'<p class="bar"><span dir="auto">{escape(name)}</span> <span class="mono">{escape(value)}</span>'
        f'<span class="bar-fill" style="width:{100 * share:.1f}%" aria-hidden="true"></span></p>'
    )


def text_block(title: str, text: str) -> str:
    """A text as it is, line by line, under a title."""
    return f'<p class="hint">{escape(title)}</p><pre class="mono" dir="auto">{escape(text)}</pre>'


def player(url: str, name: str) -> str:
    """A player that loads nothing before it is used."""
    return f'<audio controls preload="none" src="{escape(url)}" aria-label="{escape(f"Play {name}")}"></audio>'


def lines(kind: str, texts: Iterable[str]) -> str:
    """A list of short messages of one kind."""
    items = "".join(f'<li dir="auto">{escape(text)}</li>' for text in texts)
    return f'<ul class="lines lines-{kind}">{items}</ul>' if items else ""


def duration(seconds: float) -> str:
    """Minutes and seconds as on a player: 3:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def time_left(seconds: float) -> str:
    """A rough time for people: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def size(num_bytes: int) -> str:
    """A size in decimal units: 12.3 MB."""
    value = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def when(iso: str) -> str:
    """A UTC time as people write it: 25 Nov 2026, 14:02 UTC."""
    return datetime.fromisoformat(iso).strftime("%-d %b %Y, %H:%M UTC")
