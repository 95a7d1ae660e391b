"""What is found of the tracks of the selected dataset before they are learnt from: their sound, and wrong lyrics."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.task_views import CheckKind, CheckTask
from heartmula_studio.store.views import LengthCount, TrackLosses, TrackSound
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.page_context import PageContext, follow_choice, user_errors
from heartmula_studio.ui.quiet import QUIET

KINDS: tuple[CheckKind, ...] = ("lyrics", "sound")
POLL_SEC = 0.5


@dataclass(frozen=True)
class CheckButtons:
    lyrics: gr.Button
    sound: gr.Button
    stop: gr.Button

    @classmethod
    def build(cls) -> "CheckButtons":
        return cls(
            lyrics=gr.Button("Find wrong lyrics", min_width=140),
            sound=gr.Button("Check the sound", min_width=140),
            stop=gr.Button("Stop checking", visible=False, min_width=140),
        )


def build_checks(context: PageContext, buttons: CheckButtons) -> None:
    """Build the reports of the checks, which go on without the page."""
    studio, dataset_id = context.studio, context.dataset_id
    shown = [gr.HTML(), gr.HTML(), buttons.stop]
    following = []
    for kind, button in zip(KINDS, (buttons.lyrics, buttons.sound), strict=True):
        started = button.click(partial(start, studio, kind), dataset_id, **QUIET)
        following.append(started.success(partial(follow, studio, (kind,)), dataset_id, shown, **QUIET))
    buttons.stop.click(partial(stop_checking, studio), dataset_id, **QUIET)
    follow_choice(dataset_id, partial(follow, studio, ()), cleared_reports, shown, following)


def cleared_reports() -> tuple[str, str, dict]:
    return "", "", gr.update(visible=False)


def start(studio: Studio, kind: CheckKind, id: str) -> None:
    """Begin a check; one that goes on already is followed."""
    with user_errors():
        try:
            studio.checks.start(id, kind)
        except ConflictError:
            if studio.checks.get(id, kind).status != "running":
                raise


async def follow(studio: Studio, begun: Sequence[CheckKind], id: str) -> AsyncIterator[tuple]:
    """Yield what the checks of a dataset find, those that were `begun` and those that go on, and the button to stop."""
    followed = set(begun)
    while checks := await to_thread.run_sync(find_checks, studio, id):
        is_running = any(check.status == "running" for check in checks)
        followed.update(check.kind for check in checks if check.status == "running")
        reports = [report_html(check) if check.kind in followed else gr.skip() for check in checks]
        yield *reports, gr.update(visible=is_running)
        if not is_running:
            return
        await asyncio.sleep(POLL_SEC)
    yield cleared_reports()


def find_checks(studio: Studio, id: str) -> list[CheckTask]:
    """Return how far the checks of a dataset are that a browser remembers; none where it was deleted."""
    try:
        return [studio.checks.get(id, kind) for kind in KINDS]
    except NotFoundError:
        return []


def stop_checking(studio: Studio, id: str) -> None:
    with user_errors():
        for kind in KINDS:
            if studio.checks.get(id, kind).status == "running":
                studio.checks.cancel(id, kind)


def report_html(check: CheckTask) -> str:
    """Return how far a check is, or why it has ended early, and what it has found."""
    said = ""
    if check.status == "running":
        said = html.progress(check.progress, f"{check.done} of {counted(check.total, 'song')}. {check.track}")
    elif check.error:
        said = html.notice("error", check.error.message, check.error.hint)
    elif check.status == "cancelled":
        said = html.notice("info", f"Stopped after {check.done} of {counted(check.total, 'song')}.")
    return said + found_html(check)


def found_html(check: CheckTask) -> str:
    if isinstance(check.report, TrackLosses):
        return losses_html(check.report) if check.report.tracks else ""
    is_done = check.status == "completed"
    found = sound_html(check.report.tracks) if check.report.tracks or is_done else ""
    return found + (lengths_html(check.report.lengths) if is_done else "")


def losses_html(losses: TrackLosses) -> str:
    """Return the tracks with their losses, the highest first."""
    rows = (
        html.bar(track.filename, f"{track.loss:.4f}", track.loss / losses.tracks[0].loss) for track in losses.tracks
    )
    return f'<h3>The most unlikely first</h3><p class="hint">{html.escape(losses.explanation)}</p>{"".join(rows)}'


def sound_html(tracks: Sequence[TrackSound]) -> str:
    """Return each track with its loudness, and what is to be said of it; those with warnings first."""
    rows = []
    for track in sorted(tracks, key=lambda track: not track.warnings):
        loudness = "not measured" if track.loudness_lufs is None else f"{track.loudness_lufs:.1f} LUFS"
        rows.append(html.bar(track.filename, loudness, 0) + html.lines("warning", track.warnings))
    clean = sum(not track.warnings for track in tracks)
    return f'<h3>How the songs sound</h3><p class="hint">{clean} of {len(tracks)} are fine.</p>{"".join(rows)}'


def lengths_html(lengths: Sequence[LengthCount]) -> str:
    """Return a bar for each kind of length with its number of songs."""
    most = max((kind.tracks for kind in lengths), default=1)
    bars = (html.bar(length_range(kind), str(kind.tracks), kind.tracks / most) for kind in lengths)
    return f"<h3>How long the songs are</h3>{''.join(bars)}"


def length_range(kind: LengthCount) -> str:
    if kind.to_sec is None:
        return f"{html.duration(kind.from_sec)} and more"
    return f"{html.duration(kind.from_sec)} to {html.duration(kind.to_sec)}"
