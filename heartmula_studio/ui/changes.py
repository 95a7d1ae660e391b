"""Updates of an open page: a stream that says when anything has changed, and a fingerprint of each kind of record."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Protocol

import gradio as gr
from fastapi import FastAPI, Header
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from heartmula_studio.services.derived import Derived
from heartmula_studio.store.record import Record
from heartmula_studio.store.records import Dataset
from heartmula_studio.studio import Studio
from heartmula_studio.ui.quiet import QUIET

ROUTE = "/changes"
LOOK_SEC, ALIVE_SEC = 1.0, 15.0
READY_SEC = 5.0  # by then the page is built, which must not wait for what it may need next


@dataclass(frozen=True)
class Changes:
    """States whose `change` event says that records were added, deleted or edited. Their values are fingerprints.

    `datasets` leaves out what a track's row alone shows, so that a word that is edited there redraws nothing else;
    `tracks` has all of it.
    """

    datasets: gr.State
    tracks: gr.State
    jobs: gr.State
    checkpoints: gr.State
    songs: gr.State
    styles: gr.State
    models: gr.State
    base: gr.State

    @classmethod
    def build(cls) -> "Changes":
        return cls(*(gr.State("") for _ in fields(cls)))

    @property
    def all(self) -> list[gr.State]:
        return [getattr(self, state.name) for state in fields(self)]

    def watch(self, studio: Studio, page: gr.Blocks) -> None:
        """Compare when the page opens."""
        page.load(partial(fingerprints, studio), outputs=self.all, **QUIET)

    def look_at(self, studio: Studio, event: Callable[..., gr.events.Dependency]) -> None:
        """Compare at an event of this page that says that something may have changed, by `changes.js`."""
        # What happens while it compares is compared once more: else it would stay unseen.
        event(partial(fingerprints, studio), outputs=self.all, trigger_mode="always_last", **QUIET)


class Changeable(Protocol):
    """A component with a `change` event."""

    @property
    def change(self) -> Any: ...


def on_change(*values: Changeable) -> list[gr.events.EventListener]:
    """Return the triggers for a change of any of `values`. Those of `Changes` change as the page opens, too."""
    return [value.change for value in values]


class EndedEvents:
    """Tells the streams of all pages that an event of one has ended: what it changed is told at once."""

    def __init__(self) -> None:
        self._streams: set[asyncio.Event] = set()

    def note(self) -> None:
        for stream in self._streams:
            stream.set()

    @contextmanager
    def noted(self) -> Iterator[asyncio.Event]:
        """Yield what is set whenever an event has ended."""
        self._streams.add(stream := asyncio.Event())
        try:
            yield stream
        finally:
            self._streams.remove(stream)


def add_route(app: FastAPI, studio: Studio, events: EndedEvents) -> None:
    """Serve the stream that open pages listen to."""

    async def changes(since: str = "", last_event_id: Annotated[str, Header()] = "") -> StreamingResponse:
        lines = lines_of_changes(studio, events, last_event_id or since)
        return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    app.add_api_route(ROUTE, changes, include_in_schema=False)


async def lines_of_changes(studio: Studio, events: EndedEvents, since: str) -> AsyncIterator[str]:
    """Yield server-sent events: which state is `known` now, and one more whenever it is another.

    since: the state that the page has seen, "" for one that has seen the state of now.
    """
    with events.noted() as has_ended:
        known = await run_in_threadpool(state_of, studio)
        yield as_event(known, "known" if since in ("", known) else "message")
        opened = heard_from = time.monotonic()
        while True:
            await next_look(has_ended)
            now = time.monotonic()
            if now - opened >= READY_SEC:
                studio.warm_up()
            state = await run_in_threadpool(state_of, studio)
            if state != known:
                known, heard_from = state, now
                yield as_event(known, "message")
            elif now - heard_from >= ALIVE_SEC:
                heard_from = now
                yield ": still here\n\n"


async def next_look(has_ended: asyncio.Event) -> None:
    """Wait until an event of a page has ended, or for a while: not all that changes is changed by pages."""
    with suppress(TimeoutError):
        await asyncio.wait_for(has_ended.wait(), LOOK_SEC)
    has_ended.clear()


def as_event(state: str, name: str) -> str:
    return f"id: {state}\nevent: {name}\ndata: {state}\n\n"


def state_of(studio: Studio) -> str:
    """Return one fingerprint of all records."""
    return hashed(fingerprints(studio))


def fingerprints(studio: Studio) -> tuple[str, ...]:
    """Return a fingerprint of each kind of record, in the order of `Changes.all`."""
    datasets = studio.datasets.records()
    return (
        OUTLINES.of(datasets),
        DATASETS.of(datasets),
        JOBS.of(studio.jobs.records()),
        CHECKPOINTS.of(studio.checkpoints.records()),
        SONGS.of(studio.songs.records()),
        STYLES.of(studio.tags.list()),
        str(hash(tuple((model.status, model.done_bytes, model.error) for model in studio.models.list()))),
        studio.base_reason,
    )


def outline(dataset: Dataset) -> tuple:
    """Return what is shown of a dataset outside the table of its tracks."""
    return *_about(dataset), tuple(dataset.waiting_texts), tuple(song.outline for song in dataset.audio_files)


def state(dataset: Dataset) -> tuple:
    """Return all of a dataset that may change. Each track is hashed once: there may be very many."""
    return *_about(dataset), *dataset.waiting_texts.items(), *(song.fingerprint for song in dataset.audio_files)


def _about(dataset: Dataset) -> tuple:
    return dataset.id, dataset.name, dataset.styles, dataset.status, dataset.minimum_files


def fingerprint(records: Iterable[Record]) -> str:
    return hashed(state(record) if isinstance(record, Dataset) else record.to_json() for record in records)


def hashed(parts: Iterable[Hashable]) -> str:
    return str(hash(tuple(parts)))


OUTLINES = Derived(lambda datasets: hashed(map(outline, datasets)))
DATASETS, CHECKPOINTS = Derived(fingerprint), Derived(fingerprint)
JOBS = Derived(lambda jobs: hashed((job.id, job.status, job.queued_at, job.checkpoint_id) for job in jobs))
SONGS = Derived(lambda songs: hashed((one.id, one.status, one.starred, one.title, one.cover) for one in songs))
STYLES = Derived(lambda styles: str(hash(styles)))
"""Each of the records that were there last; all pages ask for the same."""
