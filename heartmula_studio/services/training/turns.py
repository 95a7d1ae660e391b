"""Whose turn it is among the jobs that wait: by priority, and within one the owners take turns."""

from collections.abc import Iterable
from itertools import groupby

from heartmula_studio.services.owners import round_robin
from heartmula_studio.store.records import Job


def in_turn(waiting: Iterable[Job], jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs that wait in the order in which they are to start.

    A higher priority goes first. Within one, owners take turns, one job each, beginning with the owner whose last job
    began longest ago; those who never had one come first, in the order they asked. An owner's jobs keep their order.
    jobs: all there are, from which it is seen whose turn was last.
    """
    last_turns = last_starts(jobs)
    by_priority = groupby(sorted(waiting, key=lambda job: (-job.priority, job.queued_at)), key=lambda job: job.priority)
    return [job for _, equals in by_priority for job in round_robin(list(equals), last_turns)]


def last_starts(jobs: Iterable[Job]) -> dict[str, str]:
    """Return when the last job of each owner began, of those that had one."""
    starts = ((job.owner, job.started_at) for job in sorted(jobs, key=lambda job: job.started_at or ""))
    return {owner: start for owner, start in starts if start is not None}
