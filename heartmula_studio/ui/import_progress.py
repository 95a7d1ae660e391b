"""How far the imports of datasets are, on the page."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr
from anyio import to_thread

from heartmula_studio.errors import NotFoundError
from heartmula_studio.files.wording import counted
from heartmula_studio.store.task_views import ImportTask
from heartmula_studio.store.views import SkippedItem
from heartmula_studio.studio import Studio
from heartmula_studio.ui import html
from heartmula_studio.ui.page_context import user_errors

POLL_SEC = 0.5
SKIPPED_SHOWN = 50
STOPPED = html.notice("info", "Stopped. Nothing was imported.")


def running_import(studio: Studio, is_from_hub: bool, followed: str) -> Any:
    """Return the id of an import that goes on, where this page shows none: it was begun before the page was opened."""
    tasks = [task for task in studio.imports.list() if bool(task.repo_id) == is_from_hub]
    running = [task.id for task in tasks if task.status == "running"]
    return gr.skip() if followed in running or not running else running[0]


async def states(studio: Studio, id: str) -> AsyncIterator[ImportTask]:
    """Yield how far an import is, until it has ended; nothing where no such import is known."""
    while task := await to_thread.run_sync(find_import, studio, id):
        yield task
        if task.status != "running":
            return
        await asyncio.sleep(POLL_SEC)


def find_import(studio: Studio, id: str) -> ImportTask | None:
    try:
        return studio.imports.get(id)
    except NotFoundError:
        return None


def stop_import(studio: Studio, id: str) -> None:
    with user_errors():
        studio.imports.cancel(id)


def import_html(task: ImportTask) -> str:
    """Return how far an import is, and in the end what has come in, or why nothing has."""
    if task.status == "running":
        return progress_html(task)
    if task.error:
        return html.notice("error", task.error.message, task.error.hint)
    if task.status == "cancelled":
        return STOPPED
    return taken_report(task.name, task.done, task.skipped)


def progress_html(task: ImportTask) -> str:
    """Return HTML; how many songs there are is known once all has been downloaded, and is unpacked."""
    if task.track:
        return html.progress(task.progress, f"{task.done} of {counted(task.total, 'song')}. {task.track}")
    if task.downloaded_bytes < task.download_bytes:
        size = f"{html.size(task.downloaded_bytes)} of {html.size(task.download_bytes)}"
        return html.progress(task.progress, f"{size} of {task.repo_id}")
    return f'<p class="hint" dir="auto">{html.escape(task.name)} is being opened.</p>'


def taken_report(name: str, songs: int, skipped: Sequence[SkippedItem]) -> str:
    """Return HTML: how many songs were imported, and what was left out and why."""
    imported = html.notice("success", f"“{name}” has {counted(songs, 'song')}.")
    if not skipped:
        return imported
    left_out = [f"{item.name}: {item.reason}" for item in skipped[:SKIPPED_SHOWN]]
    more = len(skipped) - len(left_out)
    left_out += [f"… and {more} more"] if more else []
    count = f"{len(skipped)} {'thing was' if len(skipped) == 1 else 'things were'} left out or unclear."
    return imported + html.notice("warning", count) + html.lines("warning", left_out)
