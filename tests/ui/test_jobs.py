"""The job that the Jobs tab shows."""

import asyncio

import gradio as gr

from heartmula_studio.ui.jobs import LatestOnly, selected_id, watch_job
from heartmula_studio.ui.players import Players
from tests.still_studio import filled, settings_for, still_studio


def test_a_newer_job_does_not_displace_the_one_shown(tmp_path):
    """Its buttons acted on the newer one: "Delete it" had been asked about another."""
    studio = still_studio(settings_for(tmp_path / "data"))
    assert selected_id(studio, "", "") == ""
    dataset = filled(studio)
    first, second = (studio.jobs.start(dataset.id, "lora") for _ in range(2))
    assert selected_id(studio, "", "") == second.id
    assert selected_id(studio, "", first.id) == first.id
    assert selected_id(studio, second.id, first.id) == second.id
    studio.jobs.delete(first.id)
    assert selected_id(studio, "", first.id) == second.id


def test_a_watch_that_ends_says_nothing_of_its_job_again(tmp_path):
    """Gradio sends the last outputs of a generator again: a queued job showed another one's log and heading."""
    studio = still_studio(settings_for(tmp_path / "data"))
    dataset = filled(studio)
    first, second = (studio.jobs.start(dataset.id, "lora").id for _ in range(2))
    players, latest = Players(tmp_path / "data"), LatestOnly()

    async def outputs_of_two() -> tuple[list, list, list]:
        old, new = (watch_job(studio, players, latest, id, "", False) for id in (first, second))
        return await anext(old), await anext(new), [outputs async for outputs in old]

    of_first, of_second, last = asyncio.run(outputs_of_two())
    assert (of_first[0], of_second[0]) == (first, second)
    assert last == [[gr.skip()] * len(of_first)]
