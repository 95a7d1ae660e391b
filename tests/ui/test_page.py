"""What holds for the listeners of the whole page, and for what the server does for them."""

import asyncio
from collections import Counter
from copy import copy

import gradio as gr
import pytest

from heartmula_studio.ui.page import create_ui
from heartmula_studio.ui.players import Players
from tests.still_studio import settings_for, still_studio


@pytest.fixture(scope="module")
def blocks(tmp_path_factory) -> gr.Blocks:
    folder = tmp_path_factory.mktemp("page")
    return create_ui(still_studio(settings_for(folder / "data")), Players(folder))


def test_no_two_listeners_of_an_event_wait_for_their_turn(blocks):
    """Gradio would call them in turns without end; only those of a State are called one by one."""
    page = blocks.get_config_file()
    states = {component["id"] for component in page["components"] if component["type"] == "state"}
    waiting = Counter(
        (target, event)
        for listener in page["dependencies"]
        if listener["trigger_mode"] == "always_last"
        for target, event in listener["targets"]
        if target not in states
    )
    assert waiting
    assert max(waiting.values()) == 1


def test_listeners_without_an_overlay_tell_no_component_how_far_they_are(blocks):
    listeners = [listener for listener in blocks.get_config_file()["dependencies"] if listener["targets"]]
    quiet = [listener for listener in listeners if listener["show_progress"] == "hidden"]
    assert len(quiet) > len(listeners) / 2
    assert [listener["id"] for listener in quiet if listener["show_progress_on"] != []] == []


def test_what_is_folded_is_in_the_page_from_the_start(blocks):
    """Gradio builds what is in an accordion closed with `False` as it opens, and sets back what is typed meanwhile."""
    is_open = [part["props"]["open"] for part in blocks.get_config_file()["components"] if part["type"] == "accordion"]
    assert len(is_open) > 10
    assert [state for state in is_open if state is False] == []


def test_lists_are_drawn_one_at_a_time(blocks):
    """Two at once failed now and then with "dictionary changed size during iteration", and a list was out of date."""
    lists = [listener for listener in blocks.fns.values() if listener.renderable]
    assert len(lists) == 6
    assert {(listener.concurrency_id, listener.concurrency_limit) for listener in lists} == {("lists", 1)}


def test_a_list_is_drawn_while_others_update_the_page(blocks):
    """What draws it looks through all components, and failed as above where one was added meanwhile."""
    of_an_open_page = copy(blocks.default_config)
    count = len(of_an_open_page.blocks)
    for id, component in enumerate(of_an_open_page.blocks.values(), start=1):
        of_an_open_page.blocks[-id] = component
    assert len(of_an_open_page.blocks) == 2 * count
    assert len(blocks.blocks) == count


def test_the_queue_rests_between_two_looks(blocks, monkeypatch):
    rests = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        blocks._queue.stopped = True

    blocks._queue.stopped = False
    monkeypatch.setattr(asyncio, "sleep", rest)
    asyncio.run(blocks._queue.start_processing())
    assert rests == [pytest.approx(0.05)]


def test_the_queue_holds_what_a_page_asks_for_as_it_opens_on_zerogpu(tmp_path, monkeypatch):
    """P: on ZeroGPU, Gradio's "unlimited" queue holds 1 event, and most of what a page opened with got 503."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    page = create_ui(still_studio(settings_for(tmp_path / "data")), Players(tmp_path))
    opening = [listener for listener in page.get_config_file()["dependencies"] if listener["targets"]]
    assert page._queue.max_size > len(opening)


def test_a_browser_is_not_sent_the_named_endpoints(blocks):
    """They are for programs, which find them in the whole config."""
    config = blocks.get_config_file()
    page = config["page"][""]
    endpoints = {event["id"] for event in config["dependencies"] if event["api_visibility"] == "public"}
    of_programs = {part["id"] for part in config["components"] if part["type"] == "api"}
    assert len(endpoints) > 70
    assert set(page["dependencies"]) == {event["id"] for event in config["dependencies"]} - endpoints
    assert set(page["components"]) == {part["id"] for part in config["components"]} - of_programs
    assert ids_in(page["layout"]) == {page["layout"]["id"], *page["components"]}


def ids_in(layout: dict) -> set[int]:
    return {layout["id"]}.union(*map(ids_in, layout.get("children", [])))
