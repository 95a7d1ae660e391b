"""What an open page takes for a change."""

import asyncio
from dataclasses import fields

import gradio as gr
from gradio.context import LocalContext

from heartmula_studio.ui.changes import Changes, EndedEvents, fingerprints, lines_of_changes, state_of
from heartmula_studio.ui.quiet import follow_key
from tests.still_studio import filled, settings_for, still_studio


def test_a_job_that_was_stopped_and_resumed_between_two_looks_has_changed(tmp_path):
    """It is then in the state that it was in: the page went on showing that it had stopped."""
    studio = still_studio(settings_for(tmp_path / "data"))
    job = studio.jobs.start(filled(studio).id)
    before = fingerprints(studio)
    assert fingerprints(studio) == before
    studio.jobs.stop(job.id, save=False)
    assert studio.jobs.resume(job.id).status == job.status
    assert fingerprints(studio) != before


def changed_between(before, after) -> set[str]:
    names = [field.name for field in fields(Changes)]
    return {name for name, one, other in zip(names, before, after, strict=True) if one != other}


def test_an_edited_word_of_a_track_redraws_its_table_alone(tmp_path):
    studio = still_studio(settings_for(tmp_path / "data"))
    dataset = filled(studio)
    before = fingerprints(studio)
    track = dataset.audio_files[0].filename
    studio.datasets.update_audio(dataset.id, track, caption="Other words", tags=["other"], rights="own")
    edited = fingerprints(studio)
    assert changed_between(before, edited) == {"tracks"}
    studio.datasets.remove_audio(dataset.id, track)
    assert changed_between(edited, fingerprints(studio)) == {"datasets", "tracks"}


def test_a_page_is_told_of_a_change_and_of_nothing_else(tmp_path, monkeypatch):
    """It asked every five seconds before, whether anything had happened or not."""
    monkeypatch.setattr("heartmula_studio.ui.changes.LOOK_SEC", 0)
    monkeypatch.setattr("heartmula_studio.ui.changes.ALIVE_SEC", 0)
    studio = still_studio(settings_for(tmp_path / "data"))

    async def listen() -> list[str]:
        stream = lines_of_changes(studio, EndedEvents(), "")
        told = [await anext(stream), await anext(stream)]
        studio.datasets.create("Mine")
        while (line := await anext(stream)).startswith(":"):
            pass
        again, elsewhere = (lines_of_changes(studio, EndedEvents(), seen) for seen in (state_of(studio), "elsewhere"))
        return [*told, line, await anext(again), await anext(elsewhere)]

    kinds = [line.partition("data:")[0].rpartition("event: ")[2].strip() for line in asyncio.run(listen())]
    assert kinds == ["known", ": still here", "message", "known", "message"]


def test_a_page_is_told_at_once_of_what_an_event_changed(tmp_path, monkeypatch):
    monkeypatch.setattr("heartmula_studio.ui.changes.LOOK_SEC", 600)
    studio, events = still_studio(settings_for(tmp_path / "data")), EndedEvents()

    async def listen() -> str:
        stream = lines_of_changes(studio, events, "")
        await anext(stream)
        told = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        studio.datasets.create("Mine")
        events.note()
        return await told

    assert "event: message" in asyncio.run(listen())


def test_what_follows_a_press_in_a_list_is_still_known_when_the_list_was_drawn_anew():
    """Gradio forgot it: a press while the server was busy ended in KeyError."""
    drawn = []
    with gr.Blocks() as page:

        @gr.render()
        def _():
            button = gr.Button(key="star a1b2")
            pressed = button.click(lambda: None, key=button.key)
            drawn.append((pressed["id"], pressed.then(lambda: None, key=follow_key(pressed))["id"]))

    token = LocalContext.blocks_config.set(page.default_config)
    for _ in range(2):
        page.renderables[0].apply()
    LocalContext.blocks_config.reset(token)
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) <= set(page.default_config.fns)
