"""How an open page hears of what others changed: one timer, and a fingerprint of each kind of record."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import gradio as gr

from heartmula_studio.store.records import Record
from heartmula_studio.studio import Studio

CHECK_SEC = 2.0
UNSEEN = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Changes:
    """States whose `change` event says that records came, went or moved on; what they hold means nothing else.

    They change with every visit to a tab as well: Gradio loses some of what is sent to a tab that is not drawn yet.
    """

    datasets: gr.State
    jobs: gr.State
    checkpoints: gr.State
    songs: gr.State
    styles: gr.State
    visits: gr.State

    @classmethod
    def build(cls) -> "Changes":
        return cls(*(gr.State("") for _ in range(5)), gr.State(0))

    @property
    def all(self) -> list[gr.State]:
        return [self.datasets, self.jobs, self.checkpoints, self.songs, self.styles]

    def watch(self, studio: Studio, page: gr.Blocks, tabs: Sequence[gr.Tabs]) -> None:
        """Look when the page opens, every two seconds, and when one of `tabs` shows another tab."""
        self._look(studio, partial(gr.on, [page.load, gr.Timer(CHECK_SEC).tick]))
        visited = gr.on([group.select for group in tabs], lambda visits: visits + 1, self.visits, self.visits, **UNSEEN)
        self._look(studio, visited.then)

    def after(self, studio: Studio, event: gr.events.Dependency) -> gr.events.Dependency:
        """Look at once after an event of this page."""
        return self._look(studio, event.then)

    def _look(self, studio: Studio, listen: Callable[..., gr.events.Dependency]) -> gr.events.Dependency:
        return listen(fn=partial(fingerprints, studio), inputs=self.visits, outputs=self.all, **UNSEEN)


def fingerprints(studio: Studio, visits: int) -> tuple[str, ...]:
    """One text for each kind of record, in the order of `Changes.all`."""
    jobs = [(job.id, job.status, job.checkpoint_id) for job in studio.list_jobs()]
    songs = [(song.id, song.status) for song in studio.list_generations()]
    parts = (
        fingerprint(studio.list_datasets()),
        str(hash(tuple(jobs))),
        fingerprint(studio.list_checkpoints()),
        str(hash(tuple(songs))),
        str(hash(studio.list_styles())),
    )
    return tuple(f"{visits} {part}" for part in parts)


def fingerprint(records: Iterable[Record]) -> str:
    return str(hash(tuple(record.to_json() for record in records)))
