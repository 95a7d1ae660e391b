"""Files that are not songs are recognised by content, whatever their name."""

import subprocess
import sys

import pytest

from heartmula_studio.codec.audio_file import probe
from heartmula_studio.codec.sniff import audio_format
from heartmula_studio.errors import (
    AudioError,
    AudioMissingError,
    AudioUnreadableError,
    EmptyAudioError,
    NotAudioError,
    ProtectedAudioError,
)

ID3 = b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256)
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + (200).to_bytes(8, "little") + bytes(40)
ASF_ENCRYPTED = ASF_HEADER + bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + bytes(80)


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def mp4(brand: bytes, sample_entry: bytes) -> bytes:
    """An MP4 file whose index lies behind the sound, as many encoders write it."""
    index = box(b"moov", box(b"trak", box(b"stsd", bytes(8) + box(sample_entry, bytes(28)))))
    return box(b"ftyp", brand + bytes(4)) + box(b"mdat", bytes(3000)) + index


NOT_SONGS = {
    "JPEG picture": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 20,
    "PNG picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "GIF picture": b"GIF89a" + bytes(200),
    "PDF document": b"%PDF-1.7\n1 0 obj",
    "ZIP archive": b"PK\x03\x04" + bytes(60),
    r"web page \(HTML\)": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "text file": "Hier ist das Lied für dich\n".encode(),
    "MIDI file": b"MThd\x00\x00\x00\x06" + bytes(60),
    "tracker module": b"Extended Module: Bass line" + bytes(100),
    "tracker module: notes": bytes(1080) + b"M.K." + bytes(500),
    "tracker module: notes and samples": b"IMPMI Have No Tomatoes" + bytes(100),
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    "HEIC picture": mp4(b"heic", b"hvc1"),
    "Amiga file": b"FORM\x00\x00\x10\x008SVXVHDR" + bytes(60),
    "raw AAC file": b"\xff\xf1\x50\x80" + bytes(60),
    "DTS": b"\x7f\xfe\x80\x01" + bytes(200),
    "AMR": b"#!AMR\n" + bytes(200),
    "transport stream": 8 * (b"G" + bytes(187)),
    "unknown kind": bytes(range(128, 256)) * 40,
}


@pytest.mark.parametrize(("what", "content"), NOT_SONGS.items(), ids=NOT_SONGS)
def test_mislabelled_file_is_named_for_what_it_is(tmp_path, what, content):
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(NotAudioError, match=what) as error:
        audio_format(path)
    assert "song.mp3" in error.value.message
    assert "MP3, WAV, FLAC" in error.value.hint


@pytest.mark.parametrize("what", ["JPEG picture", "DTS", "transport stream", "raw AAC file", "unknown kind"])
def test_p10_content_behind_an_id3_tag_is_named_for_what_it_is(tmp_path, what):
    path = tmp_path / "song.mp3"
    path.write_bytes(ID3 + NOT_SONGS[what])
    with pytest.raises(NotAudioError, match=what):
        audio_format(path)


@pytest.mark.parametrize(
    "content",
    [
        mp4(b"M4P ", b"mp4a"),
        mp4(b"M4A ", b"drms"),
        mp4(b"mp42", b"enca"),
        mp4(b"aax ", b"aavd"),
        b"\x00\x01\x02\x03\x57\x90\x75\x36" + bytes(100),
        ASF_ENCRYPTED,
    ],
    ids=["FairPlay brand", "FairPlay samples", "common encryption", "Audible AAX", "Audible AA", "Windows Media DRM"],
)
def test_protected_file_says_so(tmp_path, content):
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(ProtectedAudioError, match="song.mp3 is copy-protected"):
        audio_format(path)


def test_missing_folder_and_empty_file_have_their_own_errors(tmp_path):
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(AudioMissingError, match="nothing.mp3"):
        audio_format(tmp_path / "nothing.mp3")
    with pytest.raises(AudioUnreadableError, match="folder"):
        audio_format(tmp_path)
    with pytest.raises(EmptyAudioError, match=r"empty.mp3 is empty: it has 0 bytes"):
        audio_format(tmp_path / "empty.mp3")


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        *[(b"fLaC", "FLAC"), (b"OggS", "OGG"), (b"RIFF", "WAV"), (b"RIFF\x10\x00\x00\x00WA", "WAV"), (b".snd", "AU")],
        (b"RIFF\x10\x00\x00\x00AVI ", "AVI"),
        *[
            (b"FORM", "AIFF"),
            (b"caff", "CAF"),
            (b"\x00\x00\x00\x18ftypM4A ", "M4A"),
            (b"\xff\xf1\x50\x80\x10\x1f\xfc", "AAC"),
        ],
    ],
)
def test_a_song_of_which_only_the_mark_came_is_called_cut_off_and_no_text(tmp_path, mark, kind):
    path = tmp_path / "song"
    path.write_bytes(mark)
    assert audio_format(path) == kind
    with pytest.raises(AudioError, match=r"cut off|cannot be decoded|is empty"):
        probe(path)


@pytest.mark.parametrize(
    ("entry", "handler", "what"),
    [
        *[
            (b"avc1", b"vide", "holds no sound"),
            (b"dtsc", b"soun", "with DTS inside"),
            (b"samr", b"soun", "with samr inside"),
        ],
        *[(b"mp4a", b"text", "holds no sound"), (b"QDM2", b"soun", "with QDM2 inside")],
    ],
)
def test_an_mp4_file_that_is_no_song_is_named_for_what_it_holds(tmp_path, entry, handler, what):
    hdlr = box(b"hdlr", bytes(8) + handler + bytes(13))
    index = box(b"moov", box(b"trak", hdlr + box(b"stsd", bytes(8) + box(entry, bytes(28)))))
    path = tmp_path / "song.m4a"
    path.write_bytes(box(b"ftyp", b"isom" + bytes(4)) + index + box(b"mdat", bytes(3000)))
    with pytest.raises(NotAudioError, match=what):
        probe(path)


def test_recognising_a_file_needs_no_torch():
    code = "import sys, heartmula_studio.codec.sniff; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
