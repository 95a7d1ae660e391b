"""How an open page hears of what others changed: one timer, and a fingerprint of each kind of record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import gradio as gr

from heartmula_studio.store.records import Record
from heartmula_studio.studio import Studio
from heartmula_studio.ui.quiet import QUIET

CHECK_SEC = 5.0


@dataclass(frozen=True)
class Changes:
    """States whose `change` event says that records came, went or moved on; what they hold means nothing else."""

    datasets: gr.State
    jobs: gr.State
    checkpoints: gr.State
    songs: gr.State
    styles: gr.State

    @classmethod
    def build(cls) -> "Changes":
        return cls(*(gr.State("") for _ in range(5)))

    @property
    def all(self) -> list[gr.State]:
        return [self.datasets, self.jobs, self.checkpoints, self.songs, self.styles]

    def watch(self, studio: Studio, page: gr.Blocks) -> None:
        """Look when the page opens, and every few seconds."""
        timer = gr.Timer(CHECK_SEC)
        look = partial(fingerprints, studio)
        gr.on([page.load, timer.tick], look, outputs=self.all, **QUIET)

    def after(self, studio: Studio, event: gr.events.Dependency) -> gr.events.Dependency:
        """Look at once after an event of this page."""
        look: Callable[[], tuple[str, ...]] = partial(fingerprints, studio)
        return event.then(look, outputs=self.all, **QUIET)


def moved(*values: gr.components.Component) -> list[gr.events.EventListener]:
    """When one of `values` changes. Those of `Changes` do as the page opens: nobody need listen to that as well."""
    return [value.change for value in values]


def fingerprints(studio: Studio) -> tuple[str, ...]:
    """One text for each kind of record, in the order of `Changes.all`."""
    jobs = [(job.id, job.status, job.queued_at, job.checkpoint_id) for job in studio.jobs.list()]
    songs = [(song.id, song.status) for song in studio.songs.list()]
    return (
        fingerprint(studio.datasets.list()),
        str(hash(tuple(jobs))),
        fingerprint(studio.checkpoints.list()),
        str(hash(tuple(songs))),
        str(hash(studio.tags.list())),
    )


def fingerprint(records: Iterable[Record]) -> str:
    return str(hash(tuple(record.to_json() for record in records)))
