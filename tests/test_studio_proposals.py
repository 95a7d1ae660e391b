"""Tempo and key, from listening to what is trained on: through the studio, on the page and in a shell."""

import asyncio
from argparse import Namespace

import numpy as np
import pytest
import soundfile

from heartmula_studio.cli.datasets import decide, propose
from heartmula_studio.codec.tempo_and_key import TempoAndKey
from heartmula_studio.errors import CancelledError, ConflictError, InvalidInputError, NotFoundError
from heartmula_studio.services.library.tempo_and_key import SOURCE, TempoAndKeyAnalyzer, findings
from heartmula_studio.store.task_views import Analysis
from heartmula_studio.ui.proposals import VOICE, decide_all, follow, possible_decisions, start
from tests.recordings import CLIPS
from tests.still_studio import filled, settings_for, still_studio, wait_until


@pytest.fixture
def studio(tmp_path):
    return still_studio(settings_for(tmp_path / "data"))


@pytest.fixture
def dataset(studio):
    return filled(studio, 2, CLIPS)


def test_what_is_found_is_proposed_once_and_counts_when_accepted(studio, dataset):
    report = studio.datasets.find_tempo_and_key(dataset.id)
    first, second = report.tracks
    assert (first.filename, second.filename) == tuple(clip.name for clip in CLIPS[:2])
    assert [one.kind for one in first.proposals][:1] == ["tempo"]
    assert first.proposals[0].value.endswith(" bpm")
    assert all(track.tags == () for track in studio.datasets.get(dataset.id).audio_files)
    assert studio.datasets.find_tempo_and_key(dataset.id) == report
    track = studio.datasets.decide_proposal(dataset.id, first.filename, 1, "accepted")
    assert track.tags == (*dataset.styles, first.proposals[0].value)
    everything = studio.datasets.decide_proposals(dataset.id, "accepted")
    assert {one.status for track in everything.audio_files for one in track.proposals} == {"accepted"}
    undone = studio.datasets.decide_proposals(dataset.id, "open")
    assert [(track.tags, track.proposals) for track in undone.audio_files] == [
        ((), one.proposals) for one in report.tracks
    ]
    with pytest.raises(NotFoundError):
        studio.datasets.find_tempo_and_key("nothing")


def test_what_was_found_before_a_stop_is_kept(studio, dataset):
    """As after kill -9: each track is in the record before the next one is listened to."""
    one_by_one = studio.datasets.propose_tempo_and_key(dataset.id)
    first = next(one_by_one)
    one_by_one.close()
    assert studio.datasets.get_analysis(dataset.id, "tempo_and_key").status == "cancelled"
    kept = still_studio(studio.settings).datasets.get(dataset.id)
    assert [track.proposals for track in kept.audio_files] == [first.proposals, ()]
    assert [bool(track.analyzed_by) for track in kept.audio_files] == [True, False]


def test_a_search_in_the_background_says_how_far_it_is_and_is_cancelled(studio, dataset):
    assert studio.datasets.get_analysis(dataset.id, "tempo_and_key") == Analysis(kind="tempo_and_key", total=2)
    with pytest.raises(ConflictError, match="Nothing is running"):
        studio.datasets.cancel_analysis(dataset.id, "tempo_and_key")
    one_by_one = studio.datasets.propose_tempo_and_key(dataset.id)
    next(one_by_one)
    state = studio.datasets.get_analysis(dataset.id, "tempo_and_key")
    assert (state.status, state.done, state.progress) == ("running", 1, 50)
    with pytest.raises(ConflictError, match="being analyzed"):
        studio.datasets.start_analysis(dataset.id, "tempo_and_key")
    studio.datasets.cancel_analysis(dataset.id, "tempo_and_key")
    with pytest.raises(CancelledError):
        next(one_by_one)
    assert studio.datasets.get_analysis(dataset.id, "tempo_and_key").status == "cancelled"
    assert studio.datasets.start_analysis(dataset.id, "tempo_and_key").status == "running"
    studio.datasets.cancel_analysis(dataset.id, "tempo_and_key")
    wait_until(lambda: studio.datasets.get_analysis(dataset.id, "tempo_and_key").status == "cancelled")
    studio.datasets.start_analysis(dataset.id, "tempo_and_key")
    wait_until(lambda: studio.datasets.get_analysis(dataset.id, "tempo_and_key").status == "completed")
    assert all(track.proposals for track in studio.datasets.get(dataset.id).audio_files)
    with pytest.raises(InvalidInputError, match="no analysis 'guessing'"):
        studio.datasets.get_analysis(dataset.id, "guessing")


def test_a_track_in_which_nothing_is_clear_is_remembered(studio, tmp_path):
    noise = np.random.default_rng(0).normal(size=8 * 22_050) / 10
    soundfile.write(tmp_path / "noise.wav", noise, 22_050)
    dataset = filled(studio, 1, [tmp_path / "noise.wav"])
    (track,) = studio.datasets.find_tempo_and_key(dataset.id).tracks
    (heard,) = studio.datasets.get(dataset.id).audio_files
    assert (track.proposals, heard.analyzed_by) == ((), (SOURCE,))
    assert TempoAndKeyAnalyzer().is_done(heard)


def test_a_recording_that_is_damaged_is_named_and_the_others_go_on(studio, dataset):
    path = studio.datasets.audio_path(dataset.id, CLIPS[0].name)
    path.write_bytes(path.read_bytes()[:20_000])
    first, second = studio.datasets.find_tempo_and_key(dataset.id).tracks
    assert (first.proposals, CLIPS[0].name in first.error) == ((), True)
    assert second.proposals


def test_what_is_hardly_better_than_a_guess_is_not_proposed():
    assert [one.value for one in findings(TempoAndKey(119.6, 0.5, "a minor", 0.01))] == ["120 bpm"]
    assert findings(TempoAndKey(None, 0.0, None, 0.0)) == []


async def followed(studio, id: str) -> list:
    """What the page shows from a press on its button to the end."""
    start(studio, "tempo_and_key", id, next(iter(VOICE)))
    return [shown async for shown in follow(studio, id)]


def test_the_page_shows_progress_and_offers_the_decisions_that_there_are(studio, dataset):
    def offered() -> list[bool]:
        return [button["visible"] for button in possible_decisions(studio, dataset.id)]

    assert offered() == [False, False, False]
    *steps, (last, stop) = asyncio.run(followed(studio, dataset.id))
    assert all(html.count("progressbar") == 1 for html, _ in steps)
    assert "bpm" in last
    assert stop["visible"] is False
    assert offered() == [True, True, False]
    decide_all(studio, "accepted", dataset.id)
    assert offered() == [False, False, True]


def test_a_shell_proposes_and_decides(studio, dataset, capsys):
    def decided(decision: str, track: str = "", number: tuple[int, ...] = ()) -> list[int]:
        decide(studio, Namespace(id=dataset.id, decision=decision, track=track, number=number))
        return [len(track.tags) for track in studio.datasets.get(dataset.id).audio_files]

    propose(
        studio,
        Namespace(id=dataset.id, what="tempo-and-key", model="", language="", separate_vocals=None, separator=""),
    )
    assert " bpm  (" in capsys.readouterr().out
    assert decided("accept", CLIPS[0].name, (1,)) == [2, 0]
    assert decided("undo") == [0, 0]
    with pytest.raises(InvalidInputError, match="belong together"):
        decided("accept", number=(1,))
