"""A dataset's recordings looked over before training: in a table, on the page and in a shell."""

from argparse import Namespace

import numpy as np
import pytest
import soundfile

from heartmula_studio.cli.datasets import print_sound
from heartmula_studio.errors import NotFoundError
from heartmula_studio.store.views import LengthCount
from heartmula_studio.ui.checks import report_html
from tests.recordings import SONGS
from tests.still_studio import filled, settings_for, still_studio, wait_until

RATE_HZ = 44100


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return still_studio(settings_for(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def dataset(studio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    song, rate_hz = soundfile.read(SONGS[0], always_2d=True)
    swell = np.linspace(0.3, 1, 3 * RATE_HZ)[:, None]
    tone = 0.1 * np.sin(np.arange(3 * RATE_HZ) / 9)[:, None] * swell
    wide = np.hstack([tone, 0.1 * np.sin(np.arange(3 * RATE_HZ) / 7)[:, None] * swell[::-1]])
    rest = np.zeros((3 * RATE_HZ, 2))
    recordings = {
        "b copy.mp3": (song, rate_hz),
        "c mono.flac": (tone, RATE_HZ),
        "d phase.flac": (np.hstack([tone, -tone]), RATE_HZ),
        "e rests.flac": (np.concatenate([rest, wide, rest]), RATE_HZ),
        "f flat.flac": ((20 * wide).clip(-1, 1), RATE_HZ),
        "g fine.flac": (wide[::-1], RATE_HZ),
    }
    dataset = studio.datasets.create("Mine")
    studio.datasets.add_file(dataset.id, SONGS[0], "a.ogg")
    for name, (samples, rate) in recordings.items():
        soundfile.write(folder / name, samples, rate)
        studio.datasets.add_file(dataset.id, folder / name)
    return dataset


EXPECTED = {
    "a.ogg": ["It is mono: "],
    "b copy.mp3": ["The same recording as a.ogg: ", "It is mono: "],
    "c mono.flac": ["It is mono: "],
    "d phase.flac": ["Left and right cancel each other "],
    "e rests.flac": ["It begins with 3.0 s below ", "It ends with 3.0 s below "],
    "f flat.flac": ["It is clipped: "],
    "g fine.flac": [],
}


def test_what_is_wrong_with_each_recording_is_said(studio, dataset, capsys):
    report = studio.checks.check_sound(dataset.id)
    tracks = report.tracks
    assert report.lengths == (LengthCount(0.0, 10.0, 7),)
    assert [track.filename for track in tracks] == list(EXPECTED)
    for track in tracks:
        begins = zip(track.warnings, EXPECTED[track.filename], strict=True)
        assert all(warning.startswith(expected) for warning, expected in begins), track
    assert [track.same_as for track in tracks][:3] == [None, "a.ogg", None]
    assert all(-40 < track.loudness_lufs < 5 and -30 < track.peak_db <= 0.1 for track in tracks)
    print_sound(studio, Namespace(id=dataset.id))
    printed = capsys.readouterr().out
    assert "    7 songs of 0 to 10 s\n" in printed
    assert all(warning in printed for track in tracks for warning in track.warnings)


def test_what_was_found_so_far_is_told_and_shown_with_the_warnings_first(studio, dataset):
    *steps, last = studio.checks.one_by_one(dataset.id, "sound")
    assert [(step.status, step.done, step.total) for step in steps] == [("running", done, 7) for done in range(7)]
    assert [len(step.report.tracks) for step in steps] == list(range(7))
    assert [report_html(step).count("progressbar") for step in steps] == [1] * 7
    assert (last.done, last.progress, last.report.tracks[-1].filename) == (7, 100, "g fine.flac")
    ended = studio.checks.get(dataset.id, "sound")
    assert (ended.status, ended.report) == ("completed", last.report)
    shown = report_html(ended)
    assert ("progressbar" in shown, "1 of 7 are fine" in shown, "0:00 to 0:10" in shown) == (False, True, True)
    assert shown.index("b copy.mp3") < shown.index("g fine.flac")


def test_a_song_that_was_damaged_since_is_named(studio, dataset):
    path = studio.datasets.audio_path(dataset.id, "c mono.flac")
    content = path.read_bytes()
    try:
        path.write_bytes(content[: len(content) // 2])
        (damaged,) = [t for t in studio.checks.check_sound(dataset.id).tracks if t.filename == "c mono.flac"]
    finally:
        path.write_bytes(content)
    assert damaged.loudness_lufs is None
    assert "cut off" in damaged.warnings[0]


def test_a_dataset_that_is_not_there(studio):
    with pytest.raises(NotFoundError):
        studio.checks.check_sound("nothing")


def test_a_check_is_stopped_within_a_song(studio, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(size=(60 * RATE_HZ, 2)) / 10, RATE_HZ)
    dataset = filled(studio, 1, [tmp_path / "long.wav"])
    studio.checks.start(dataset.id, "sound")
    wait_until(lambda: studio.checks.get(dataset.id, "sound").track != "")
    studio.checks.cancel(dataset.id, "sound")
    wait_until(lambda: studio.checks.get(dataset.id, "sound").status != "running")
    ended = studio.checks.get(dataset.id, "sound")
    assert (ended.status, ended.report.tracks, ended.report.lengths[0].tracks) == ("cancelled", (), 1)


def test_a_song_that_is_removed_meanwhile_is_left_out(studio):
    dataset = filled(studio, 3)
    names = [track.filename for track in dataset.audio_files]
    steps = studio.checks.one_by_one(dataset.id, "sound")
    next(steps)
    studio.datasets.remove_audio(dataset.id, names[1])
    *_, last = steps
    assert [track.filename for track in last.report.tracks] == [names[0], names[2]]
