"""Server-sent events from a blocking iterator."""

import asyncio
import threading

from heartmula_studio.routes.events import HEARTBEAT, EventStreams, as_text


def test_an_event_is_one_block_of_lines():
    assert as_text(7, {"event": "step", "loss": 1.5, "note": "a\nb"}) == (
        'id: 7\nevent: step\ndata: {"event": "step", "loss": 1.5, "note": "a\\nb"}\n\n'
    )


def test_all_events_come_in_order_and_the_stream_ends():
    events = [(i, {"event": "step", "step": i}) for i in range(1, 5)]

    async def read() -> list[str]:
        return [line async for line in EventStreams().lines(iter(events), threading.Event())]

    assert asyncio.run(read()) == [as_text(*event) for event in events]


def test_heartbeats_come_while_nothing_happens():
    go_on = threading.Event()

    def events():
        go_on.wait()
        yield 1, {"event": "end"}

    async def read() -> list[str]:
        lines = []
        async for line in EventStreams(heartbeat_sec=0.01).lines(events(), threading.Event()):
            lines.append(line)
            if len(lines) == 3:
                go_on.set()
        return lines

    lines = asyncio.run(read())
    assert lines[:3] == [HEARTBEAT] * 3
    assert lines[-1].startswith("id: 1\nevent: end\n")


def test_a_client_that_leaves_frees_its_thread():
    """With more streams than threads, new ones only begin once the old ones have let go."""
    streams = EventStreams(max_threads=2, heartbeat_sec=0.01)

    def events(stopped: threading.Event):
        yield 1, {"event": "step"}
        stopped.wait()

    async def watch_and_leave() -> None:
        stopped = threading.Event()
        lines = streams.lines(events(stopped), stopped)
        while (await anext(lines)) == HEARTBEAT:
            pass
        await anext(lines)  # the iterator waits in its thread now
        await lines.aclose()
        assert stopped.is_set()

    async def many() -> None:
        await asyncio.gather(*(watch_and_leave() for _ in range(8)))

    asyncio.run(many())


def test_a_waiting_stream_does_not_block_the_server():
    stopped = threading.Event()

    def events():
        stopped.wait()
        yield from ()

    async def other_work() -> None:
        lines = EventStreams(heartbeat_sec=60).lines(events(), stopped)
        waiting = asyncio.create_task(anext(lines, None))
        await asyncio.sleep(0)
        stopped.set()  # would never be reached
        assert await waiting is None

    asyncio.run(other_work())
