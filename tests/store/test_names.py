"""Names that people and attackers give."""

import unicodedata

import pytest

from heartmula_studio.errors import InvalidInputError
from heartmula_studio.store.names import (
    checked_name,
    checked_tags,
    name_key,
    safe_filename,
    unique_filename,
)

HOSTILE = {
    "../../etc/passwd.mp3": "passwd.mp3",
    "..\\..\\boot.mp3": "boot.mp3",
    "/etc/passwd": "passwd",
    "C:\\Windows\\song.mp3": "song.mp3",
    "C:song.mp3": "Csong.mp3",
    "//server/share/song.mp3": "song.mp3",
    "a/b\\c/../song.wav": "song.wav",
    "song/": "song",
    "": "song",
    ".": "song",
    "..": "song",
    "...": "song",
    "....mp3": "song.mp3",
    ".mp3": "song.mp3",
    ".hidden.mp3": "hidden.mp3",
    "..song.mp3": "song.mp3",
    " . song . .mp3": "song.mp3",
    "song.mp3\0.exe": "song.mp3.exe",
    "so\0ng.mp3": "song.mp3",
    "so\nng\r.mp3": "so ng.mp3",
    "song\t1.mp3": "song 1.mp3",
    "\x1b[31msong.mp3": "[31msong.mp3",
    "gnos\u202e3pm.exe": "gnos3pm.exe",
    "\ufeffsong.mp3": "song.mp3",
    "so\u200bng.mp3": "song.mp3",
    "so\u2028ng.mp3": "so ng.mp3",
    "so\ud800ng.mp3": "song.mp3",
    "\ud800": "song",
    '<so>:"|?*ng.mp3': "song.mp3",
    "CON": "_CON",
    "con.mp3": "_con.mp3",
    "NUL.tar.mp3": "_NUL.tar.mp3",
    "COM1.mp3": "_COM1.mp3",
    "com\u00b9.mp3": "_com\u00b9.mp3",
    "lpt9 .mp3": "_lpt9.mp3",
    "AUX .x.mp3": "_AUX .x.mp3",
    "CONIN$.mp3": "_CONIN$.mp3",
    "console.mp3": "console.mp3",
    "song.": "song",
    "song ": "song",
    "song.MP3": "song.mp3",
    "Mr. Blue Sky": "Mr. Blue Sky",
    "cafe\u0301.mp3": "caf\u00e9.mp3",
    "\u2025/\u2025/song.mp3": "song.mp3",
    "\uff0e\uff0e\uff0fsong.mp3": "\uff0e\uff0e\uff0fsong.mp3",
    "%2e%2e%2fsong.mp3": "%2e%2e%2fsong.mp3",
    "-rf.mp3": "-rf.mp3",
    "~/song.mp3": "song.mp3",
    "$(reboot).mp3": "$(reboot).mp3",
    "song;rm.mp3": "song;rm.mp3",
    "می\u200cخواهم.mp3": "می\u200cخواهم.mp3",
    "👩\u200d🎤.mp3": "👩\u200d🎤.mp3",
}


@pytest.mark.parametrize(("original", "expected"), HOSTILE.items())
def test_a_name_becomes_that_of_a_plain_file(original, expected):
    assert safe_filename(original) == expected
    assert safe_filename(expected) == expected


@pytest.mark.parametrize("original", ["a" * 300 + ".flac", "é" * 300 + ".mp3", "🎵" * 99 + ".wav", "e\u0301" * 200])
def test_a_long_name_is_cut_between_characters(original):
    name = safe_filename(original)
    assert 138 <= len(name.encode()) <= 150
    assert name.endswith(original[-4:]) or "." not in original
    assert unicodedata.normalize("NFC", name) == name


def test_the_suffix_can_be_given():
    assert safe_filename("song.exe", ".mp3") == "song.mp3"


def test_a_taken_stem_is_numbered_in_any_case_form_and_suffix():
    assert unique_filename("song.mp3", []) == "song.mp3"
    assert unique_filename("song.mp3", ["SONG"]) == "song (2).mp3"
    assert unique_filename("song.mp3", ["song", "Song (2)"]) == "song (3).mp3"
    assert unique_filename("caf\u00e9.mp3", ["CAFE\u0301"]) == "café (2).mp3"
    long = "x" * 141
    assert unique_filename(f"{long}.mp3", [long]) == f"{'x' * 137} (2).mp3"


@pytest.mark.parametrize(("a", "b"), [("é", "e\u0301"), ("É", "é"), ("E\u0301", "é"), ("ΣΑΣ", "σας"), ("\u212b", "å")])
def test_keys_know_neither_case_nor_form(a, b):
    assert name_key(a) == name_key(b)
    assert name_key(a) != name_key(b + "x")


def test_a_name_is_one_clean_line():
    assert checked_name("  My\n\x00Data\u202eset ", "dataset") == "My Dataset"
    assert checked_name("x" * 200, "dataset") == "x" * 200


@pytest.mark.parametrize("name", ["", "  ", "\0", "\u202e", "x" * 201])
def test_a_name_has_1_to_200_characters(name):
    with pytest.raises(InvalidInputError, match="Give 1 to 200"):
        checked_name(name, "dataset")


def test_tags_are_clean_and_each_there_once_in_order():
    assert checked_tags(["Pop", " x ", "pop", "", "\n", "y", "X"], "styles") == ("Pop", "x", "y")


@pytest.mark.parametrize("tags", [["x" * 101], [str(i) for i in range(51)]])
def test_tags_have_limits(tags):
    with pytest.raises(InvalidInputError, match="at most"):
        checked_tags(tags, "styles")
