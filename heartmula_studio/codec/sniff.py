"""What a file really is, by its content: the name and its suffix are never trusted. Decodes nothing."""

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from heartmula_studio.codec import adts, ogg
from heartmula_studio.codec.mpeg import HEADER_BYTES, MAX_STRAY_BYTES, FrameHeader, find_frame, skip_id3
from heartmula_studio.errors import (
    AudioMissingError,
    AudioUnreadableError,
    EmptyAudioError,
    NotAudioError,
    ProtectedAudioError,
    TruncatedAudioError,
)
from heartmula_studio.files.git_lfs import POINTER_START

HEAD_BYTES = 65536
LARGEST_INDEX_BYTES = 32 * 2**20
"""Enough of an MP4 `moov` box or an ASF header for the sample descriptions of many hours of sound."""

ALLOWED = (
    "Allowed are MP3, WAV, FLAC, OGG (Vorbis, Opus), AIFF, CAF, M4A, AC-3, WavPack and WMA files, and the sound of "
    "MP4, QuickTime, Matroska, WebM, OGG, AVI and WMV videos."
)
CUT_HINT = "The copy, download or export broke off. Get the whole file again."
MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    bytes.fromhex("726966662e91cf11a5d628db04c10000"): "W64",
    b".snd": "AU",
    b"Creative Voice File\x1a": "VOC",
    b"caff": "CAF",
    b"wvpk": "WV",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): "WMA",
    b"\x1a\x45\xdf\xa3": "MKA",
    b"\x0b\x77": "AC3",
}
MIDI = "a MIDI file: notes, not sound"
TRACKER = "a tracker module: notes and samples, not a recording"
SIGNATURES = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"MThd", MIDI),
    (0, b"Extended Module: ", TRACKER),
    (0, b"IMPM", TRACKER),
    (44, b"SCRM", TRACKER),
    *((1080, tag, TRACKER) for tag in (b"M.K.", b"M!K!", b"FLT4", b"FLT8", b"4CHN", b"6CHN", b"8CHN")),
    (0, b"FORM", "an Amiga file (IFF)"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"TTA1", "a True Audio file"),
    (0, b"DSD ", "a DSD file"),
    (0, b"\xff\xf1", "a raw AAC file"),
    (0, b"\xff\xf9", "a raw AAC file"),
    (0, b"ADIF", "a raw AAC file"),
    (0, b"\x56\xe0", "a raw AAC file"),
    (0, b"\x7f\xfe\x80\x01", "a DTS file"),
    (0, b"#!AMR", "an AMR (phone speech) file"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"\x00\x00\x01\xba", "an MPEG video (program stream)"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a Linux program"),
    (0, b"SQLite format 3", "a database"),
)
TS_PACKET_BYTES, TS_MARK = 188, b"G"
AUDIBLE_AA = b"\x57\x90\x75\x36"
ASF = bytes.fromhex("3026b2758e66cf11")
ASF_ENCRYPTION_GUIDS = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
    bytes.fromhex("b69b077aa4da124ea5ca91d38dc11a8d"),
)
MP4_BOX_HEADER_BYTES = 8
MP4_PROTECTED_BRANDS = (b"M4P ", b"aax ", b"aaxc")
MP4_PROTECTED_SAMPLES = (b"drms", b"enca", b"aavd")
MP4_PICTURES = {
    b"heic": "a HEIC picture",
    b"mif1": "a HEIC picture",
    b"avif": "an AVIF picture",
}
RIFF_KINDS = {
    b"WEBP": "a WebP picture",
    b"RMID": MIDI,
    b"sfbk": "a SoundFont",
}


def audio_format(path: Path) -> str:
    """The kind of sound file by content: "MP3" (all layers of MPEG audio), "WAV", "AIFF", "M4A", "AAC" or one of MAGIC.

    Raises AudioMissingError, AudioUnreadableError, EmptyAudioError (0 bytes), ProtectedAudioError, TruncatedAudioError
    (a tag with nothing behind it) or NotAudioError, which says what the file is instead.
    """
    with open_binary(path) as file:
        start = id3_end(file)
        head = read_at(file, start, HEAD_BYTES)
        if start == len(head) == 0:
            raise EmptyAudioError(f"{path.name} is empty: it has 0 bytes.", "Copy or export the song again.")
        if not head:
            raise TruncatedAudioError(f"{path.name} is cut off: it ends before its first MP3 frame.", CUT_HINT)
        if is_protected(file, head):
            raise ProtectedAudioError(
                f"{path.name} is copy-protected: its sound is encrypted.",
                f"Use a copy without protection, from a shop that sells one or your own master. {ALLOWED}",
            )
        if found := marked_format(head):
            return found
        other = describe_other(head)
        if other is None and is_mpeg_file(file, head, start):
            return "MP3"
    raise not_a_song(path, other or ("a free-format MP3 file" if is_free_format(head) else "data of an unknown kind"))


def not_a_song(path: Path, description: str) -> NotAudioError:
    return NotAudioError(
        f"{path.name} is not a song that can be read: it is {description}.",
        f"{ALLOWED} Export the song in one of these formats and add it again.",
    )


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading, or say why that is not possible."""
    if not path.exists():
        raise AudioMissingError(f"There is no file {path}.", "Check the spelling and the folder.")
    if not path.is_file():
        raise AudioUnreadableError(f"{path} is not a file but a folder or a device.", f"Name one song. {ALLOWED}")
    try:
        return open(path, "rb")
    except OSError as error:
        raise AudioUnreadableError(
            f"{path} cannot be opened: {error.strerror}.", "Allow this program to read the file."
        ) from error


def id3_end(file: BinaryIO) -> int:
    """The offset behind any ID3 tags, which taggers put in front of MP3 and FLAC alike."""
    if read_at(file, 0, 3) != b"ID3":
        return 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return skip_id3(data)


def read_at(file: BinaryIO, offset: int, num_bytes: int) -> bytes:
    file.seek(offset)
    return file.read(num_bytes)


def marked_format(head: bytes) -> str | None:
    """The format that a file's first bytes name, if it is one that we read, even if there are no more."""
    if is_wave(head):
        return "WAV"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if head[:4] == b"FORM" and any(kind.startswith(head[8:12]) for kind in (b"AIFF", b"AIFC")):
        return "AIFF"
    if head[4:8] == b"ftyp" and head[8:12] not in MP4_PICTURES:
        return "M4A"
    if adts.begins_stream(head):
        return "AAC"
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def is_mpeg_file(file: BinaryIO, head: bytes, start: int) -> bool:
    """MPEG audio may begin behind bytes that some taggers leave there."""
    return is_mpeg(head) or is_mpeg(read_at(file, start, MAX_STRAY_BYTES))


def is_mpeg(head: bytes) -> bool:
    """Whether frames follow each other in `head`, or it ends before they could."""
    first = FrameHeader.parse(head)
    is_stub = first is not None and len(head) < first.frame_bytes
    return is_stub or find_frame(head, 0, len(head), len(head)) is not None


def is_free_format(head: bytes) -> bool:
    """Whether MPEG frames whose header does not tell their bitrate follow each other at even distances."""
    is_sync = head[:1] == b"\xff" and head[1:2] >= b"\xe0" and len(head) > HEADER_BYTES and head[2] >> 4 == 0
    distance = head.find(head[:2], HEADER_BYTES)
    return is_sync and distance > 0 and head[:2] in head[2 * distance - 1 : 2 * distance + 3]


def is_wave(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RF64", b"RIFX", b"BW64") and b"WAVE".startswith(head[8:12])


def ogg_description(kinds: Collection[str]) -> str:
    """A musician's words for an OGG file that holds these kinds of stream and is no song."""
    if ogg.VIDEO in kinds and ogg.SPEEX not in kinds:
        return "an OGG video without sound"
    return f"an OGG file of {ogg.SPEEX}" if ogg.SPEEX in kinds else "an OGG file that holds neither Vorbis nor Opus"


def describe_other(head: bytes) -> str | None:
    """A musician's words for content that is not in an allowed format; None where it may be, or is unknown."""
    for offset, magic, name in SIGNATURES:
        if head.startswith(magic, offset):
            return name
    if head.startswith(b"RIFF") and not is_wave(head):
        return RIFF_KINDS.get(head[8:12], "a RIFF file that holds no sound")
    if head[4:8] == b"ftyp":
        return MP4_PICTURES.get(head[8:12])
    if set(head[: 4 * TS_PACKET_BYTES : TS_PACKET_BYTES]) == set(TS_MARK) and len(head) > TS_PACKET_BYTES:
        return "an MPEG transport stream (television, or a piece of a web stream)"
    return describe_text(head)


def describe_text(head: bytes) -> str | None:
    if head.startswith(POINTER_START):
        return "a Git LFS pointer, a few lines that stand for the song (`git lfs pull` gets it)"
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), which broken download links give"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "a text file"
    printable = all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head[:4096])
    return "a text file" if head and printable and is_utf8(head[:4096]) else None


def is_utf8(data: bytes) -> bool:
    """Whether `data` is UTF-8, but for a last character that may be cut."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(data) - error.start < 4 and error.reason == "unexpected end of data"
    return True


def is_protected(file: BinaryIO, head: bytes) -> bool:
    """Apple FairPlay and Audible inside MP4, Audible AA, and Windows Media with an encryption object."""
    if head[4:8] == AUDIBLE_AA:
        return True
    if head.startswith(ASF):
        index = read_at(file, 0, min(int.from_bytes(head[16:24], "little"), LARGEST_INDEX_BYTES))
        return any(guid in index for guid in ASF_ENCRYPTION_GUIDS)
    if head[4:8] == b"ftyp":
        index = mp4_index(file)
        return head[8:12] in MP4_PROTECTED_BRANDS or any(kind in index for kind in MP4_PROTECTED_SAMPLES)
    return False


def mp4_index(file: BinaryIO) -> bytes:
    """The contents of the `moov` box, which describes the samples; empty where there is none."""
    for offset, kind, size in mp4_boxes(file):
        if kind == b"moov":
            return read_at(file, offset, min(size, LARGEST_INDEX_BYTES))
    return b""


def mp4_boxes(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Offset, kind and size of each box of a file; the last one may be called larger than it is."""
    end, offset = file.seek(0, 2), 0
    while offset < end:
        header = read_at(file, offset, 16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        size = end - offset if size == 0 else size
        yield offset, kind, size
        if size < MP4_BOX_HEADER_BYTES:
            return
        offset += size
