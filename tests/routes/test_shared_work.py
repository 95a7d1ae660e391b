"""Work that many ask for at the same moment."""

import asyncio
import threading

import pytest

from heartmula_studio.routes.shared_work import SharedWork


async def wait_for(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait, 10)


def test_those_who_ask_while_it_runs_share_the_next_run():
    begun, may_end, runs = threading.Event(), threading.Event(), []

    def work() -> int:
        runs.append(len(runs))
        begun.set()
        assert may_end.wait(10)
        return runs[-1]

    async def ask_many() -> list[int]:
        shared = SharedWork[int]()
        first = asyncio.create_task(shared.run("list", work))
        await wait_for(begun)
        later = [asyncio.create_task(shared.run("list", work)) for _ in range(5)]
        await asyncio.sleep(0)
        may_end.set()
        return await asyncio.gather(first, *later)

    assert asyncio.run(ask_many()) == [0, 1, 1, 1, 1, 1]


def test_other_work_does_not_wait():
    async def ask_two() -> list[str]:
        shared, other_is_done = SharedWork[str](), threading.Event()
        waits = asyncio.create_task(shared.run("one", lambda: "one" if other_is_done.wait(10) else "never"))
        other = await shared.run("other", lambda: "other")
        other_is_done.set()
        return [await waits, other]

    assert asyncio.run(ask_two()) == ["one", "other"]


def test_an_error_is_raised_for_each_and_the_next_run_is_another():
    async def ask() -> None:
        shared = SharedWork[None]()
        asked = await asyncio.gather(*(shared.run("list", lambda: 1 // 0) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in asked] == [ZeroDivisionError] * 3
        assert await shared.run("list", lambda: None) is None

    asyncio.run(ask())


def test_one_who_leaves_does_not_stop_it_for_the_others():
    begun, may_end = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert may_end.wait(10)
        return "done"

    async def ask_two() -> str:
        shared = SharedWork[str]()
        leaves, stays = (asyncio.create_task(shared.run("list", work)) for _ in range(2))
        await wait_for(begun)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        may_end.set()
        return await stays

    assert asyncio.run(ask_two()) == "done"
