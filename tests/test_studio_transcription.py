"""From a recording to training windows: what is heard becomes lyrics, or gives lyrics their times, once it is accepted.

A real network listens to real speech; `tests/whisper/making.py` made both.
"""

import asyncio
import dataclasses
from argparse import Namespace

import pytest

from heartmula_studio.cli.datasets import propose
from heartmula_studio.errors import ConflictError, NotFoundError
from heartmula_studio.lyrics.parsing import parse_lyrics
from heartmula_studio.store.records import Dataset
from heartmula_studio.ui.proposals import follow, start
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio, wait_until
from tests.whisper.spoken import FOLDER, MODEL, SPOKEN, SPOKEN_LINES

TEXT = "[verse]\n" + "\n".join(line for line, _, _ in SPOKEN_LINES)
WINDOW_SEC = 5.5  # three windows: two lines are said in the first, one in each of the others


@pytest.fixture
def studio(tmp_path):
    settings = dataclasses.replace(settings_for(tmp_path / "data"), checkpoints_dir=FOLDER, max_window_sec=WINDOW_SEC)
    return still_studio(settings)


def transcribed(studio, lyrics: str = "") -> Dataset:
    dataset = filled(studio, 1, [SPOKEN])
    studio.datasets.update_audio(dataset.id, SPOKEN.name, caption=lyrics)
    studio.datasets.start_analysis(dataset.id, "lyrics")
    wait_until(lambda: studio.datasets.get_analysis(dataset.id, "lyrics").status != "running")
    assert studio.datasets.get_analysis(dataset.id, "lyrics").status == "completed"
    return studio.datasets.get(dataset.id)


def windows(studio, dataset: Dataset) -> list[list[str]]:
    """The lines that a training reads in each window, without marks."""
    preview = studio.datasets.preview_prompt(dataset.id, SPOKEN.name)
    assert preview.timing == "timed"
    return [[line for line in window.lyrics.split("\n") if line[:1] not in ("", "[")] for window in preview.windows]


def expected_windows() -> list[list[str]]:
    lines = [line.lower() for line, _, _ in SPOKEN_LINES]  # as prompts are written
    return [lines[:2], lines[2:3], lines[3:]]


def test_what_is_heard_is_proposed_and_each_window_holds_its_own_lines(studio):
    dataset = transcribed(studio)
    (track,) = dataset.audio_files
    (proposal,) = track.proposals
    assert (track.caption, proposal.kind, proposal.language, proposal.status) == ("", "lyrics", "en", "open")
    assert proposal.source == f"transcription by {MODEL.name}"
    assert len(proposal.line_confidences) == len(SPOKEN_LINES)
    accepted = studio.datasets.decide_proposal(dataset.id, SPOKEN.name, 1, "accepted")
    assert accepted.caption == proposal.value
    assert windows(studio, dataset) == expected_windows()
    assert studio.datasets.decide_proposals(dataset.id, "open") == dataset


def test_lyrics_that_somebody_wrote_get_their_times_and_keep_their_words(studio):
    dataset = transcribed(studio, TEXT)
    (proposal,) = dataset.audio_files[0].proposals
    assert dataset.audio_files[0].caption == TEXT
    assert [line.text for line in parse_lyrics(proposal.value)] == [line.text for line in parse_lyrics(TEXT)]
    for line, (_, start_sec, _) in zip(parse_lyrics(proposal.value), SPOKEN_LINES, strict=True):
        assert line.stamps_sec[0] == pytest.approx(start_sec, abs=0.6)
    studio.datasets.decide_proposals(dataset.id, "accepted")
    assert windows(studio, dataset) == expected_windows()
    undone = studio.datasets.decide_proposals(dataset.id, "open")
    assert undone.audio_files[0].caption == TEXT
    studio.datasets.update_audio(dataset.id, SPOKEN.name, caption="Mine")
    with pytest.raises(ConflictError, match="no longer those"):
        studio.datasets.decide_proposal(dataset.id, SPOKEN.name, 1, "accepted")


def test_a_stopped_transcription_goes_on_with_what_is_left(studio, capsys):
    """As after kill -9: what was heard of a track is in the record before the next one is listened to."""
    dataset = filled(studio, 2, [SPOKEN, SONGS[0]])
    one_by_one = studio.datasets.analyze(dataset.id, "lyrics", "", "en")
    first = next(one_by_one)
    one_by_one.close()
    assert [bool(track.analyzed_by) for track in studio.datasets.get(dataset.id).audio_files] == [True, False]
    arguments = {"model": str(MODEL), "language": "en", "separate_vocals": False, "separator": ""}
    propose(studio, Namespace(id=dataset.id, what="lyrics", **arguments))
    printed = capsys.readouterr().out
    assert f"  [00:00.{first.proposals[0].value[7:10]}]{SPOKEN_LINES[0][0]}" in printed
    tracks = studio.datasets.get(dataset.id).audio_files
    assert (tracks[0].proposals, bool(tracks[1].analyzed_by)) == (first.proposals, True)


def test_lyrics_with_times_and_music_without_words_are_left_as_they_are(studio):
    for lyrics in ("[00:01.00]la", "[instrumental]"):
        dataset = transcribed(studio, lyrics)
        assert (dataset.audio_files[0].proposals, dataset.audio_files[0].analyzed_by) == ((), ())


def test_a_model_that_is_not_there_is_told_at_once(studio):
    dataset = filled(studio, 1, [SPOKEN])
    with pytest.raises(NotFoundError, match="There is no model 'other'"):
        studio.datasets.start_analysis(dataset.id, "lyrics", "other")
    with pytest.raises(NotFoundError, match="Download larger_clap_music under Models"):
        studio.datasets.start_analysis(dataset.id, "tags")


def test_a_model_that_cannot_be_loaded_ends_the_transcription_with_the_reason(studio, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "whisper"}')
    studio = still_studio(dataclasses.replace(studio.settings, checkpoints_dir=tmp_path))
    dataset = filled(studio, 1, [SPOKEN])
    studio.datasets.start_analysis(dataset.id, "lyrics")
    wait_until(lambda: studio.datasets.get_analysis(dataset.id, "lyrics").status != "running")
    state = studio.datasets.get_analysis(dataset.id, "lyrics")
    assert (state.status, state.error.code, state.done) == ("failed", "checkpoint_corrupt", 0)


def test_the_page_says_what_is_proposed(studio):
    dataset = filled(studio, 1, [SPOKEN])

    async def followed() -> list:
        start(studio, "lyrics", dataset.id, "The whole recording")
        return [shown async for shown in follow(studio, dataset.id)]

    *_, (report, stop) = asyncio.run(followed())
    assert "4 lines of lyrics (en)" in report
    assert stop["visible"] is False
