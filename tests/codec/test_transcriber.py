"""A small Whisper that knows four spoken lines writes them down with their times; `tests/whisper/making.py` made it."""

import json
import shutil

import pytest
import torch

from heartmula_studio.codec.transcriber import Transcriber, Transcript
from heartmula_studio.errors import (
    AudioError,
    CancelledError,
    CheckpointCorruptError,
    CheckpointMismatchError,
    InvalidInputError,
)
from heartmula_studio.lyrics.transcript import as_lyrics
from tests.whisper.spoken import MODEL, SPOKEN, SPOKEN_LINES

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return Transcriber(MODEL, CPU)


@pytest.fixture(scope="module")
def transcript(transcriber) -> Transcript:
    return transcriber.transcribe(SPOKEN)


def test_a_song_of_many_windows_is_written_down_line_by_line(transcript):
    lyrics = as_lyrics(transcript.segments)
    assert [line.partition("]")[2] for line in lyrics.text.split("\n")] == [line for line, _, _ in SPOKEN_LINES]
    assert len(lyrics.line_confidences) == 4
    assert min(lyrics.line_confidences) > 0.5
    assert transcript.language == "en"


def test_words_have_the_times_at_which_they_are_said(transcript):
    for segment, (line, start_sec, end_sec) in zip(transcript.segments, SPOKEN_LINES, strict=True):
        assert "".join(word.text for word in segment) == f" {line}"
        assert segment[0].start_sec == pytest.approx(start_sec, abs=0.5)
        assert segment[-1].end_sec == pytest.approx(end_sec, abs=0.5)
        assert all(a.end_sec <= b.start_sec + 1e-6 for a, b in zip(segment, segment[1:], strict=False))


def test_words_of_a_model_without_alignment_heads_share_the_time_of_their_line(tmp_path, transcript):
    folder = shutil.copytree(MODEL, tmp_path / "without")
    settings = json.loads((folder / "generation_config.json").read_text())
    del settings["alignment_heads"]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    without = Transcriber(folder, CPU).transcribe(SPOKEN, "en")
    segments = without.segments
    assert without.language == "en"
    assert [[word.text for word in s] for s in segments] == [[word.text for word in s] for s in transcript.segments]
    assert segments[0][0].start_sec == pytest.approx(SPOKEN_LINES[0][1], abs=0.3)
    assert segments[0][1].start_sec > segments[0][0].start_sec


def test_progress_is_told_and_a_person_may_stop_it(transcriber):
    told: list[tuple[int, int]] = []
    with pytest.raises(CancelledError):
        transcriber.transcribe(SPOKEN, "en", lambda *done: told.append(done), lambda: len(told) > 1)
    assert told[0] == (0, told[1][1])
    assert 0 < told[1][0] < told[1][1]


def test_what_cannot_be_listened_to(transcriber, tmp_path):
    with pytest.raises(AudioError):
        transcriber.transcribe(tmp_path / "nothing.wav")
    with pytest.raises(InvalidInputError, match="does not know the language 'xx'"):
        transcriber.transcribe(SPOKEN, "xx")
    with pytest.raises(CheckpointCorruptError, match="cannot be loaded as Whisper"):
        Transcriber(tmp_path, CPU)
    folder = shutil.copytree(MODEL, tmp_path / "timeless")
    settings = json.loads((folder / "generation_config.json").read_text())
    del settings["no_timestamps_token_id"]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointMismatchError, match="tokens for times"):
        Transcriber(folder, CPU)
