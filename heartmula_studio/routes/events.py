"""Server-sent events from a blocking iterator, without blocking the server."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from anyio import CapacityLimiter, to_thread

HEARTBEAT_SEC = 15.0
HEARTBEAT = ": still here\n\n"
MAX_WAITING_THREADS = 256  # more streams than this take turns, and hear heartbeats meanwhile

Event = tuple[int, dict[str, Any]]


class EventStreams:
    """All streams of one server: they wait in threads of their own, not in those that answer requests."""

    def __init__(self, max_threads: int = MAX_WAITING_THREADS, heartbeat_sec: float = HEARTBEAT_SEC):
        self._limiter = CapacityLimiter(max_threads)
        self._heartbeat_sec = heartbeat_sec

    async def lines(self, events: Iterator[Event], stopped: threading.Event) -> AsyncIterator[str]:
        """Yield each event as it comes, and comments in between; set `stopped` when the client has left."""
        coming: asyncio.Task[Event | None] | None = None
        try:
            while True:
                coming = coming or asyncio.create_task(to_thread.run_sync(next, events, None, limiter=self._limiter))
                await asyncio.wait({coming}, timeout=self._heartbeat_sec)
                if not coming.done():
                    yield HEARTBEAT
                    continue
                event, coming = coming.result(), None
                if event is None:
                    return
                yield as_text(*event)
        finally:
            stopped.set()


def as_text(event_id: int, data: dict[str, Any]) -> str:
    """JSON has no line breaks of its own, so one data line is enough."""
    return f"id: {event_id}\nevent: {data.get('event', 'message')}\ndata: {json.dumps(data)}\n\n"
