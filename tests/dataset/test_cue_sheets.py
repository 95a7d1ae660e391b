"""Albums in one recording, cut where a cue sheet says."""

import numpy as np
import pytest
import soundfile

from heartmula_studio.dataset.cue_sheets import CueTrack, parse_cue
from heartmula_studio.dataset.importing import incoming_tracks
from heartmula_studio.dataset.source_files import find_files
from tests.dataset.test_importing import A

RATE_HZ = 44_100
SHEET = """REM GENRE "Synth Pop"
PERFORMER "Anna"
TITLE "The Album"
FILE "album.flac" WAVE
  TRACK 01 AUDIO
    TITLE "AC/DC"
    INDEX 01 00:00:37
  TRACK 02 AUDIO
    TITLE "Rain \u201cII\u201d"
    PERFORMER "Anna"
    INDEX 00 00:01:70
    INDEX 01 00:02:00
  TRACK 03 AUDIO
    INDEX 01 0:3:00
"""


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (5 * RATE_HZ, 2))
    soundfile.write(folder / "album.flac", samples, RATE_HZ, subtype="PCM_16")
    (folder / "album.cue").write_text(SHEET, encoding="utf-8")
    return folder


def cut(album, tmp_path) -> tuple[list[tuple], dict[str, np.ndarray], dict[str, str]]:
    """What comes in, its samples by file name, and what is left out."""
    skipped: dict[str, str] = {}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    files = find_files(album, album.name, scratch, 2**28, skipped.__setitem__)
    words, sounds = [], {}
    for track in incoming_tracks(files, skipped.__setitem__):
        words.append((track.filename, track.words.lyrics, track.words.tags))
        (tmp_path / "one").write_bytes(b"".join(track.chunks()))
        sounds[track.filename] = soundfile.read(tmp_path / "one", dtype="int16")[0]
    return words, sounds, skipped


def test_an_album_becomes_its_songs_to_the_sample(album, tmp_path):
    whole, _ = soundfile.read(album / "album.flac", dtype="int16")
    words, sounds, skipped = cut(album, tmp_path)
    tags = ("Synth Pop",)
    names = ["01 AC-DC.flac", "02 Rain \u201cII\u201d.flac", "03 album.flac"]
    assert (words, skipped) == ([(name, "", tags) for name in names], {})
    starts = [37 * RATE_HZ // 75, 2 * RATE_HZ, 3 * RATE_HZ, len(whole)]
    for name, start, end in zip(names, starts, starts[1:], strict=False):
        assert np.array_equal(sounds[name], whole[start:end]), name


def test_other_recordings_and_what_is_said_of_the_album_come_along(album, tmp_path):
    (album / "b.ogg").write_bytes(A)
    (album / "album.txt").write_text("la")
    (album / "album.tags").write_text("pop, slow")
    words, _, skipped = cut(album, tmp_path)
    assert words[0] == ("01 AC-DC.flac", "", ("pop", "slow"))
    assert words[-1] == ("b.ogg", "", ())
    assert skipped == {"album.flac": "Its lyrics are those of several songs, and are given to none."}


@pytest.mark.parametrize(
    ("sheet", "reason"),
    [
        (SHEET.replace("album.flac", "gone.flac"), None),
        (SHEET.replace("album.flac", "gone.flac").replace("TRACK 03", "FILE x.wav WAVE\nTRACK 03"), "2 recordings"),
        (SHEET.replace("0:3:00", "0:1:00"), "in order"),
        (SHEET.replace("0:3:00", "0:3:99"), "is not a time"),
        ("FILE album.flac WAVE", "in order"),
    ],
)
def test_a_sheet_that_cannot_be_used_is_named_and_the_recording_stays_whole(album, tmp_path, sheet, reason):
    """One for a recording that has another name now is used for that of its own name."""
    (album / "album.cue").write_text(sheet, encoding="utf-8")
    words, _, skipped = cut(album, tmp_path)
    if reason is None:
        assert (len(words), skipped) == (3, {})
    else:
        assert [name for name, *_ in words] == ["album.flac"]
        assert reason in skipped["album.cue"]


def test_songs_behind_the_end_of_the_recording_are_left_out_and_named(album, tmp_path):
    (album / "album.cue").write_text(SHEET.replace("0:3:00", "9:00:00"), encoding="utf-8")
    words, _, skipped = cut(album, tmp_path)
    assert len(words) == 2
    assert [reason for name, reason in skipped.items() if name.startswith("album.flac")] == ["It ends before 540.0 s."]


def test_words_without_quotes_and_a_sheet_by_hand():
    sheet = parse_cue("file a.wav wave\ntrack 1 audio\ntitle Rain\nindex 01 01:02:15\n")
    assert (sheet.recording, sheet.tracks) == ("a.wav", (CueTrack(62.2, "Rain"),))
