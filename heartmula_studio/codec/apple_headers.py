"""AIFF, Core Audio and MPEG-4 files chunk by chunk: how their sound is coded, where it lies, and what is missing."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from heartmula_studio.codec.sniff import id3_end, mp4_boxes, mp4_index, read_at

AIFF_PCM = {
    **dict.fromkeys((b"NONE", b"twos"), "s{bits}be"),
    b"sowt": "s{bits}le",
    b"raw ": "u8",
    b"in24": "s24be",
    b"in32": "s32be",
    **dict.fromkeys((b"fl32", b"FL32"), "f32be"),
    **dict.fromkeys((b"fl64", b"FL64"), "f64be"),
    **dict.fromkeys((b"alaw", b"ALAW"), "alaw"),
    **dict.fromkeys((b"ulaw", b"ULAW"), "mulaw"),
}
"""The compression types of AIFF that are plain samples, and FFmpeg's names for these without any header."""

READ_IN_AIFF = (*AIFF_PCM, b"ima4")
READ_IN_CAF = (b"lpcm", b"alac", b"alaw", b"ulaw", b"ima4")
READ_IN_MP4 = (
    *(b"mp4a", b".mp3", b"alac", b"fLaC", b"Opus", b"ac-3", b"ec-3"),
    *(b"lpcm", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"fl64", b"alaw", b"ulaw", b"ima4"),
)
CODEC_NAMES = {
    b"aac ": "AAC",
    b"Opus": "Opus",
    b"opus": "Opus",
    b"fLaC": "FLAC",
    b"ac-3": "AC-3",
    b"ec-3": "E-AC-3",
    b"dtsc": "DTS",
}
AIFF_UNKNOWN_SIZE = 0x7F000000
"""sox writes such sizes and larger ones when samples go to a pipe, ffmpeg writes 0."""

CAF_UNKNOWN_SIZE = 2**64 - 1
CAF_EDIT_COUNT_BYTES = 4
CHUNK_HEADER_BYTES, CAF_HEADER_BYTES, CAF_CHUNK_HEADER_BYTES, AIFF_HEADER_BYTES = 8, 8, 12, 12
MP4_SOUND = b"soun"
OF_A_TRACK = re.compile(rb"hdlr.{4}(?!dhlr).{4}(?P<handler>.{4})|stsd.{12}(?P<entry>.{4})", re.DOTALL)
"""What a track is for, and behind it how it is coded; QuickTime says in between where its data lies ("dhlr")."""


@dataclass(frozen=True)
class AppleSound:
    """The sound of an AIFF or Core Audio file: how it is coded, and how many bytes of it should and do follow.

    `promised_bytes` is None where a recorder could not know them in advance.
    """

    encoding: bytes
    start: int
    promised_bytes: int | None
    present_bytes: int
    bits: int = 0
    channels: int = 0
    sample_rate_hz: int = 0

    @property
    def codec_name(self) -> str:
        return CODEC_NAMES.get(self.encoding) or printable(self.encoding)

    @property
    def problem(self) -> str:
        if self.promised_bytes is None or self.promised_bytes <= self.present_bytes:
            return ""
        return f"its header promises {self.promised_bytes:,} bytes of sound and only {self.present_bytes:,} are there"

    @property
    def pcm_demuxer(self) -> str:
        """FFmpeg's name for an AIFF file's samples without its header."""
        whole_bytes = "8" if self.bits <= 8 else str(-(-self.bits // 8) * 8)
        return AIFF_PCM[self.encoding].format(bits=whole_bytes).removesuffix("be" if self.bits <= 8 else "")


def printable(code: bytes) -> str:
    return code.decode("ascii", errors="replace").strip() or "nothing"


def find_aiff_sound(file: BinaryIO) -> AppleSound | None:
    """None where the file ends before its samples."""
    end, offset, common = file.seek(0, 2), id3_end(file) + AIFF_HEADER_BYTES, b""
    while len(header := read_at(file, offset, CHUNK_HEADER_BYTES)) == CHUNK_HEADER_BYTES:
        kind, size = struct.unpack(">4sI", header)
        content = offset + CHUNK_HEADER_BYTES
        if kind == b"COMM":
            common = read_at(file, content, min(size, 22))
        if kind == b"SSND" and len(common) >= 18 and len(shift := read_at(file, content, 4)) == 4:
            start = content + 8 + int.from_bytes(shift, "big")
            is_known = 8 < size < AIFF_UNKNOWN_SIZE
            return aiff_sound(common, start, size - (start - content) if is_known else None, max(0, end - start))
        offset = content + size + size % 2
    return None


def aiff_sound(common: bytes, start: int, promised_bytes: int | None, present_bytes: int) -> AppleSound:
    channels, _, bits, exponent, mantissa = struct.unpack(">hIhHQ", common[:18])
    rate_hz = int(mantissa * 2.0 ** min(exponent - 16383 - 63, 0))
    return AppleSound(common[18:22] or b"NONE", start, promised_bytes, present_bytes, bits, channels, rate_hz)


def find_caf_sound(file: BinaryIO) -> AppleSound | None:
    """None where the file ends before its sound."""
    end, offset, encoding = file.seek(0, 2), CAF_HEADER_BYTES, b""
    while len(header := read_at(file, offset, CAF_CHUNK_HEADER_BYTES)) == CAF_CHUNK_HEADER_BYTES:
        kind, size = struct.unpack(">4sQ", header)
        content = offset + CAF_CHUNK_HEADER_BYTES
        if kind == b"desc":
            encoding = read_at(file, content + 8, 4)
        if kind == b"data":
            start = content + CAF_EDIT_COUNT_BYTES
            promised = None if size == CAF_UNKNOWN_SIZE else max(0, size - CAF_EDIT_COUNT_BYTES)
            return AppleSound(encoding, start, promised, max(0, end - start))
        offset = content + size
    return None


def mp4_problem(file: BinaryIO) -> str:
    """What is missing of a file's boxes; empty where they are whole."""
    end, kinds = file.seek(0, 2), []
    for offset, kind, size in mp4_boxes(file):
        kinds.append(kind)
        if size < CHUNK_HEADER_BYTES or offset + size > end:
            name, there = printable(kind), max(0, end - offset)
            return f"its {name} box should take {size:,} bytes and only {there:,} are there"
    return "" if b"moov" in kinds else "its index (moov) is missing"


def mp4_refusal(file: BinaryIO) -> str:
    """A musician's words for an MPEG-4 or QuickTime file that is no song which can be read; empty where it may be."""
    entries = list(mp4_sound_entries(mp4_index(file)))
    if not entries:
        return "an MP4 or QuickTime file that holds no sound"
    if entries[0] not in READ_IN_MP4:
        return f"an MP4 or QuickTime file with {CODEC_NAMES.get(entries[0]) or printable(entries[0])} inside"
    return ""


def mp4_sound_entries(index: bytes) -> Iterator[bytes]:
    """How each track of sound is coded."""
    handler = b""
    for found in OF_A_TRACK.finditer(index):
        handler = found["handler"] or handler
        if found["entry"] and handler == MP4_SOUND:
            yield found["entry"]
