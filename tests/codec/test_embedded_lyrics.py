"""Lyrics inside audio files, as taggers and shops put them there."""

import shutil

import mutagen
import pytest
import soundfile
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, SYLT, USLT, Encoding

from heartmula_studio.codec.embedded_lyrics import embedded_lyrics
from tests.recordings import SONGS

CHINESE = "我爱你 像风走了八千里 不问归期\n月亮代表我的心 你问我爱你有多深"
WORDS = [("Two ", 1000), ("words", 1500), ("\nnext", 2500)]
LINES = [("Two words", 1000), ("next", 2500)]
LRC = "[00:01.000]Two words\n[00:02.500]next"


@pytest.fixture
def mp3(tmp_path):
    samples, rate_hz = soundfile.read(SONGS[0], frames=20000)
    soundfile.write(tmp_path / "a.mp3", samples, rate_hz)
    return tmp_path / "a.mp3"


def sylt(entries, format=2, type=1):
    return SYLT(encoding=Encoding.UTF8, lang="eng", format=format, type=type, desc="", text=entries)


def uslt(text, encoding=Encoding.UTF8, desc=""):
    return USLT(encoding=encoding, lang="eng", desc=desc, text=text)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([uslt("la\r\nlo")], "la\nlo"),
        ([uslt("la"), uslt("la la", desc="longer")], "la la"),
        ([uslt("plain"), sylt(WORDS)], LRC),
        ([sylt(LINES)], LRC),
        ([sylt(LINES, format=1), uslt("plain")], "plain"),  # counted in MPEG frames
        ([sylt([("Am", 0)], type=5)], ""),  # chords
        ([uslt(CHINESE.encode("gb18030").decode("latin-1"), Encoding.LATIN1)], CHINESE),
        ([uslt("S\xfc\xdfe Tr\xe4ume", Encoding.LATIN1)], "Süße Träume"),
        ([uslt("ëþåÿ", Encoding.LATIN1)], ""),  # letters of no language
        ([uslt("<tt>la</tt>")], ""),  # of a kind that is not read
        ([], ""),
    ],
)
def test_id3(mp3, frames, expected):
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(mp3)
    assert embedded_lyrics(mp3) == expected


def test_apev2_behind_an_mp3_with_id3(mp3):
    ID3().save(mp3)
    tags = APEv2()
    tags["Lyrics"] = "la"
    tags.save(mp3)
    ID3().save(mp3)
    assert embedded_lyrics(mp3) in ("la", "")


@pytest.mark.parametrize(
    ("key", "value"), [("LYRICS", "la"), ("UNSYNCEDLYRICS", "la"), ("SyncedLyrics", "[00:01.00]la")]
)
def test_vorbis_comments(tmp_path, key, value):
    path = shutil.copy(SONGS[0], tmp_path / "a.ogg")
    file = mutagen.File(path)
    file[key] = value
    file.save()
    assert embedded_lyrics(path) == value


def test_a_file_without_tags_has_none(tmp_path):
    assert embedded_lyrics(SONGS[0]) == ""
    (tmp_path / "a.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVEid3 \xff\xff\xff\xffID3\4\0\0\x7f\x7f\x7f\x7fUSLT")
    assert embedded_lyrics(tmp_path / "a.wav") == ""
