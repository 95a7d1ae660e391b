"""An album in one recording is cut behind the silences between its songs."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heartmula_studio.codec.silences import FRAMES_PER_SEC, song_starts_sec, starts_behind_silences
from heartmula_studio.errors import AudioTooLongError
from tests.still_studio import settings_for, still_studio


def album(*songs_sec: float, gap_sec: float = 2.0, lead_sec: float = 0.5) -> np.ndarray:
    """Peaks of songs with silences between them."""
    parts = [np.zeros(round(lead_sec * FRAMES_PER_SEC))]
    for seconds in songs_sec:
        parts += [np.full(round(seconds * FRAMES_PER_SEC), 0.5), np.zeros(round(gap_sec * FRAMES_PER_SEC))]
    return np.concatenate(parts)


def test_songs_begin_behind_silences():
    assert starts_behind_silences(album(40, 60, 50)) == [0.5, 42.5, 104.5]
    assert starts_behind_silences(album(40, 60, gap_sec=0.5)) == [0.5]
    assert starts_behind_silences(np.zeros(100)) == [0.0]
    assert starts_behind_silences(np.zeros(0)) == [0.0]


def test_pauses_within_songs_are_no_cuts():
    assert starts_behind_silences(album(40, 10, 60)) == [0.5, 42.5]
    assert starts_behind_silences(album(10, 60, 40)) == [0.5, 74.5]
    assert starts_behind_silences(album(40, 40, 10)) == [0.5, 42.5]


@pytest.fixture
def recording(tmp_path) -> Path:
    """Two songs of 45 seconds."""
    rate_hz = 8000
    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 45 * rate_hz)
    path = tmp_path / "songs" / "Side A.wav"
    path.parent.mkdir()
    soundfile.write(path, np.concatenate([loud, np.zeros(2 * rate_hz), loud[::-1]]), rate_hz)
    return path


def test_a_recording_is_read_in_pieces(recording):
    assert song_starts_sec(recording) == [0.0, 47.0]


def test_what_is_too_long_for_a_song_comes_in_as_the_songs_it_holds(recording, tmp_path):
    studio = still_studio(dataclasses.replace(settings_for(tmp_path / "data"), max_song_sec=60))
    dataset = studio.imports.run_local(recording.parent)
    assert [(track.filename, track.duration_sec) for track in dataset.audio_files] == [
        ("Side A 01.flac", pytest.approx(47)),
        ("Side A 02.flac", pytest.approx(45)),
    ]
    assert "comes in as 2" in dataset.skipped[0].reason


def test_what_is_too_long_and_has_no_silences_is_refused(recording, tmp_path):
    studio = still_studio(dataclasses.replace(settings_for(tmp_path / "data"), max_song_sec=40))
    with pytest.raises(AudioTooLongError, match="Side A 01.flac is too long"):
        studio.imports.run_local(recording.parent)
    assert studio.datasets.list() == []
