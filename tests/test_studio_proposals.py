"""Tempo and key, from listening to what is trained on: through the studio, on the page and in a shell."""

from argparse import Namespace

import pytest

from heartmula_studio.cli.datasets import decide, propose
from heartmula_studio.codec.tempo_and_key import TempoAndKey
from heartmula_studio.errors import InvalidInputError, NotFoundError
from heartmula_studio.services.library.tempo_and_key import findings
from heartmula_studio.ui.proposals import change_all, find_tempo_and_key, possible_decisions, row_updates, save_ticks
from tests.recordings import CLIPS
from tests.still_studio import filled, settings_for, still_studio


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
    kept = still_studio(studio.settings).datasets.get(dataset.id)
    assert [track.proposals for track in kept.audio_files] == [first.proposals, ()]


def test_a_recording_that_is_damaged_is_named_and_the_others_go_on(studio, dataset):
    path = studio.datasets.audio_path(dataset.id, CLIPS[0].name)
    path.write_bytes(path.read_bytes()[:20_000])
    first, second = studio.datasets.find_tempo_and_key(dataset.id).tracks
    assert (first.proposals, CLIPS[0].name in first.error) == ((), True)
    assert second.proposals


def test_what_is_hardly_better_than_a_guess_is_not_proposed():
    assert [one.value for one in findings(TempoAndKey(119.6, 0.5, "a minor", 0.01))] == ["120 bpm"]
    assert findings(TempoAndKey(None, 0.0, None, 0.0)) == []


def test_the_page_ticks_rejects_and_brings_back(studio, dataset):
    *steps, (last, stop) = find_tempo_and_key(studio, dataset.id)
    assert [html.count("progressbar") for html, _ in steps] == [1] * 3
    assert "bpm" in last
    assert stop["visible"] is False
    tracks = [[dataset.id, CLIPS[0].name], None]

    def shown() -> tuple:
        track = studio.datasets.get(dataset.id).audio_files[0]
        ticks, reject, reopen = row_updates(track.proposals)
        return track.tags, ticks["value"], reject["visible"], reopen["visible"]

    value = studio.datasets.get(dataset.id).audio_files[0].proposals[0].value
    save_ticks(studio, 0, tracks, ["1"])
    assert shown()[:2] == (("Techno", value), ["1"])
    change_all(studio, "open", "rejected", 0, tracks)
    save_ticks(studio, 0, tracks, [])
    assert shown()[:3] == ((), [], True)
    change_all(studio, "rejected", "open", 0, tracks)
    save_ticks(studio, 1, tracks, ["1"])
    assert shown() == ((), [], True, False)
    accept, reject, undo = possible_decisions(studio, dataset.id)
    assert [accept["visible"], reject["visible"], undo["visible"]] == [True, True, False]


def test_a_shell_proposes_and_decides(studio, dataset, capsys):
    def decided(decision: str, track: str = "", number: tuple[int, ...] = ()) -> list[int]:
        decide(studio, Namespace(id=dataset.id, decision=decision, track=track, number=number))
        return [len(track.tags) for track in studio.datasets.get(dataset.id).audio_files]

    propose(studio, Namespace(id=dataset.id))
    assert " bpm  (" in capsys.readouterr().out
    assert decided("accept", CLIPS[0].name, (1,)) == [2, 0]
    assert decided("undo") == [0, 0]
    with pytest.raises(InvalidInputError, match="belong together"):
        decided("accept", number=(1,))
