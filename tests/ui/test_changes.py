"""What an open page takes for a change."""

import asyncio
from dataclasses import fields

from heartmula_studio.ui.changes import Changes, fingerprints, lines_of_changes, state_of
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
        stream = lines_of_changes(studio, "")
        told = [await anext(stream), await anext(stream)]
        studio.datasets.create("Mine")
        while (line := await anext(stream)).startswith(":"):
            pass
        again, elsewhere = lines_of_changes(studio, state_of(studio)), lines_of_changes(studio, "seen elsewhere")
        return [*told, line, await anext(again), await anext(elsewhere)]

    kinds = [line.partition("data:")[0].rpartition("event: ")[2].strip() for line in asyncio.run(listen())]
    assert kinds == ["known", ": still here", "message", "known", "message"]
