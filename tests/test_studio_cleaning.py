"""Recordings cleaned for training: silence trimmed, loudness set, lyrics moved along, and all of it taken back."""

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from heartmula_studio.cli.datasets import clean
from heartmula_studio.codec.clean_settings import CleanSettings
from heartmula_studio.codec.cleaning import kept_frames
from heartmula_studio.codec.sound_check import measure_sound
from heartmula_studio.errors import ConflictError, InvalidInputError
from heartmula_studio.lyrics.moving import moved_lyrics
from heartmula_studio.store.proposals import Finding
from heartmula_studio.store.store import Store
from tests.still_studio import settings_for, still_studio

RATE_HZ = 44100
LYRICS = "[ti:Mine]\n[00:03.50]One <00:03.50>one\n[00:05.00]Two\n[bridge]\n"
MOVED = "[ti:Mine]\n[00:00.60]One <00:00.60>one\n[00:02.10]Two\n[bridge]\n"
TRIM, LEVEL = CleanSettings(), CleanSettings(trim_silence=False, loudness_lufs=-20.0)


@pytest.fixture
def studio(tmp_path):
    return still_studio(settings_for(tmp_path / "data"))


@pytest.fixture
def dataset(studio, tmp_path):
    """A tone of three seconds behind three, and before two, of silence; and one that fills its file."""
    tone = 0.05 * np.sin(np.arange(3 * RATE_HZ) / 9)[:, None] * [1, 0.5]
    tone[RATE_HZ] = 0.3  # a click
    quiet = np.concatenate([np.zeros((3 * RATE_HZ, 2)), tone, np.zeros((2 * RATE_HZ, 2))])
    dataset = studio.datasets.create("Mine")
    for name, samples in {"a.wav": quiet, "b.flac": tone}.items():
        soundfile.write(tmp_path / name, samples, RATE_HZ)
        studio.datasets.add_file(dataset.id, tmp_path / name, caption=LYRICS)
    return studio.datasets.get(dataset.id)


def files(studio, dataset) -> set[str]:
    folder = studio.datasets._datasets.folder(dataset.id)
    return {f"{path.parent.name}/{path.name}" for path in folder.rglob("*.*") if path.parent != folder}


def test_the_ends_of_silence_go_and_the_lyrics_move(studio, dataset):
    before = dataset.audio_files[0]
    track = studio.datasets.clean_track(dataset.id, "a.wav", TRIM)
    assert (track.filename, track.duration_sec, track.frames) == ("a.wav", pytest.approx(3.6), None)
    assert (track.cleaned.cut_start_sec, track.cleaned.cut_end_sec) == (pytest.approx(2.9), pytest.approx(1.5))
    assert track.caption == MOVED
    sound = measure_sound(studio.datasets.audio_path(dataset.id, "a.wav"))
    assert (sound.silence_before_sec, sound.silence_after_sec) == (0.1, 0.5)
    assert studio.datasets.restore_track(dataset.id, "a.wav") == before
    assert files(studio, dataset) == {"audio/a.wav", "audio/b.flac"}


def test_loudness_is_set_from_the_original_and_never_past_the_peak(studio, dataset):
    for wanted, expected in ((-20.0, -20.0), (-5.0, None)):
        settings = replace(LEVEL, loudness_lufs=wanted)
        track = studio.datasets.clean_track(dataset.id, "b.flac", settings)
        sound = measure_sound(studio.datasets.audio_path(dataset.id, "b.flac"))
        assert sound.peak <= 10 ** (-1 / 20)
        assert expected is None or sound.loudness_lufs == pytest.approx(expected, abs=0.1)
    assert sound.peak == pytest.approx(10 ** (-1 / 20), abs=0.05)
    assert track.cleaned.original.sha256 == dataset.audio_files[1].sha256
    assert len(files(studio, dataset)) == 3


def test_what_needs_no_cleaning_stays_its_original(studio, dataset):
    assert studio.datasets.clean_track(dataset.id, "b.flac", TRIM) == dataset.audio_files[1]
    studio.datasets.clean_track(dataset.id, "b.flac", LEVEL)
    assert studio.datasets.clean_track(dataset.id, "b.flac", TRIM) == dataset.audio_files[1]
    with pytest.raises(ConflictError, match="no original to go back to"):
        studio.datasets.restore_track(dataset.id, "b.flac")


def test_lyrics_that_were_edited_since_and_proposed_ones_move_back(studio, dataset):
    store = studio.datasets._datasets
    proposed = "[00:04.000]heard"
    store.propose(dataset.id, "a.wav", "a program", [Finding("lyrics", proposed, 0.9, "en", (0.9,), LYRICS)])
    studio.datasets.clean_track(dataset.id, "a.wav", TRIM)
    (moved,) = store.get_song(dataset.id, "a.wav").proposals
    assert (moved.value, moved.replaces) == ("[00:01.100]heard", MOVED)
    studio.datasets.decide_proposal(dataset.id, "a.wav", moved.number, "accepted")
    track = studio.datasets.restore_track(dataset.id, "a.wav")
    assert track.caption == proposed
    assert studio.datasets.decide_proposal(dataset.id, "a.wav", moved.number, "open").caption == LYRICS


def test_an_original_can_be_let_go_of_and_the_recording_cleaned_again(studio, dataset):
    studio.datasets.clean_track(dataset.id, "a.wav", TRIM)
    track = studio.datasets.discard_original(dataset.id, "a.wav")
    assert "audio/a.wav" not in files(studio, dataset)
    assert studio.datasets.audio_path(dataset.id, "a.wav").is_file()
    studio.datasets.clean_track(dataset.id, "a.wav", LEVEL)
    again = studio.datasets.restore_track(dataset.id, "a.wav")
    assert (again.sha256, again.caption) == (track.sha256, MOVED)
    studio.datasets.remove_audio(dataset.id, "a.wav")
    assert files(studio, dataset) == {"audio/b.flac"}


def test_a_kill_at_any_point_leaves_a_song_whole(studio, dataset, tmp_path, monkeypatch):
    """The files are there, and the record does not say so yet; or it says so, and the old ones are still there."""
    store = studio.datasets._datasets
    changed = store.update
    monkeypatch.setattr(store, "update", lambda *_: (_ for _ in ()).throw(SystemExit))
    monkeypatch.setattr(store, "_remove_unlisted", lambda _: None)
    with pytest.raises(SystemExit):
        studio.datasets.clean_track(dataset.id, "a.wav", TRIM)
    assert len(files(studio, dataset)) == 3
    monkeypatch.setattr(store, "update", changed)
    Store(tmp_path / "data").recover()
    assert files(studio, dataset) == {"audio/a.wav", "audio/b.flac"}
    assert store.get(dataset.id) == dataset
    studio.datasets.clean_track(dataset.id, "a.wav", TRIM)
    studio.datasets.restore_track(dataset.id, "a.wav")
    assert len(files(studio, dataset)) == 3
    Store(tmp_path / "data").recover()
    assert store.get(dataset.id) == dataset
    assert studio.datasets.audio_path(dataset.id, "a.wav").is_file()


def test_the_shell_cleans_all_and_takes_it_back(studio, dataset, capsys):
    given = {"id": dataset.id, "track": [], "trim_silence": None, "loudness_lufs": None}
    clean(studio, Namespace(**given, undo=False, discard_originals=False))
    assert capsys.readouterr().out == (
        "a.wav: 2.9 s cut off in front, 1.5 s behind, +0.0 dB\nb.flac: 0.0 s cut off in front, 0.0 s behind, +0.0 dB\n"
    )
    clean(studio, Namespace(**given, undo=True, discard_originals=False))
    assert studio.datasets.get(dataset.id) == dataset
    with pytest.raises(InvalidInputError, match="between -40 and -5"):
        clean(studio, Namespace(**given | {"loudness_lufs": 3.0}, undo=False, discard_originals=False))


def test_a_cleaned_song_goes_out_under_the_name_of_its_kind(studio, dataset, tmp_path):
    studio.datasets.clean_track(dataset.id, "a.wav", TRIM)
    studio.datasets.export_to_folder(dataset.id, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.flac", "b.flac", "metadata.jsonl"}


def test_what_is_kept_of_a_recording():
    loud, rest = [0.5], [0.0]
    assert kept_frames(np.array(rest * 9 + loud * 4 + rest * 12)) == (8, 18)
    assert kept_frames(np.array(rest * 2 + loud * 4 + rest * 6)) == (0, 12)
    assert kept_frames(np.array(rest * 5)) == (0, 5)
    assert kept_frames(np.array([])) == (0, 0)


@pytest.mark.parametrize(
    ("lyrics", "by_sec", "moved"),
    [
        (LYRICS, -2.9, MOVED),
        ("[00:01.000]early\n[1:00:00.5]late", -2, "[00:00.000]early\n[59:58.50]late"),
        ("[00:59,5]a", 1, "[01:00.50]a"),
        ("1\n00:00:04,000 --> 00:00:05,000\nsubtitles", -1, "[00:03.000]subtitles"),
        ("[verse]\nat 5:15", -2, "[verse]\nat 5:15"),
    ],
)
def test_times_of_lyrics_move(lyrics, by_sec, moved):
    assert moved_lyrics(lyrics, by_sec) == moved
