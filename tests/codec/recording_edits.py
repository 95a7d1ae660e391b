"""Edits of encoded recordings, byte by byte: tags, chunks and marks that other programs put there or leave out."""

import struct
import zlib
from collections.abc import Callable

import numpy as np

REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def with_valid_bits(bits: int) -> Callable[[bytes], bytes]:
    """Says in an extensible header that fewer bits of each sample are used than it takes up."""

    def change(content: bytes) -> bytes:
        at = content.index(b"fmt ") + 8
        assert content[at : at + 2] == b"\xfe\xff"
        return content[: at + 18] + struct.pack("<H", bits) + content[at + 20 :]

    return change


def id3(content: bytes = bytes(500), version: int = 3, footer: bool = False, claimed_bytes: int | None = None) -> bytes:
    """An ID3v2 tag; its size is written in seven bits a byte."""
    num_bytes = len(content) if claimed_bytes is None else claimed_bytes
    size = bytes(num_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    flags = b"\x10" if footer else b"\x00"
    tail = b"3DI" + bytes([version, 0]) + flags + size if footer else b""
    return b"ID3" + bytes([version, 0]) + flags + size + content + tail


def ape_tag(content: bytes) -> bytes:
    """An APEv2 tag with header and footer around a binary item, as mp3gain and players put it behind a song."""
    item = struct.pack("<II", len(content), 2) + b"Cover Art (Front)\x00" + content
    fields = struct.pack("<III", 2000, len(item) + 32, 1)
    return (
        b"APETAGEX"
        + fields
        + b"\x00\x00\x00\xa0"
        + bytes(8)
        + item
        + b"APETAGEX"
        + fields
        + b"\x00\x00\x00\x80"
        + bytes(8)
    )


ID3V1 = b"TAG" + b"A title".ljust(125, b"\x00")
LYRICS3 = b"LYRICSBEGININD0000200LYR00010la la la\r\n000055LYRICS200"
COVER = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + np.random.default_rng(1).bytes(70_000)


def before(prefix: bytes) -> Callable[[bytes], bytes]:
    return lambda content: prefix + content


def behind(suffix: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content + suffix


def written_at(mark: bytes, distance: int, value: bytes) -> Callable[[bytes], bytes]:
    """Overwrite what stands `distance` bytes behind the first `mark`."""

    def change(content: bytes) -> bytes:
        offset = content.index(mark) + distance
        return content[:offset] + value + content[offset + len(value) :]

    return change


def data_size(size: int) -> Callable[[bytes], bytes]:
    return written_at(b"data", 4, struct.pack("<I", size))


def chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def with_chunks(first: bytes, last: bytes = b"") -> Callable[[bytes], bytes]:
    """Put chunks before and behind the others of a WAV file."""
    return lambda content: content[:12] + first + content[12:] + last


def vbri_before(content: bytes) -> bytes:
    """Put Fraunhofer's header frame in front of the first frame, which lies behind no tag."""
    offset = content.index(b"\xff\xfb")
    header = content[offset : offset + 2] + b"\xb4" + content[offset + 3 : offset + 4]
    frame = header + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 1105, 75, len(content), 77)
    return content[:offset] + frame.ljust(627, b"\x00") + content[offset:]


def with_right_checksums(content: bytes) -> bytes:
    """The same Ogg pages, each with the checksum of what it holds now."""
    result, offset = b"", 0
    while offset < len(content):
        packet = offset + 27 + content[offset + 26]
        end = packet + sum(content[offset + 27 : packet])
        page = content[offset : offset + 22] + bytes(4) + content[offset + 26 : end]
        crc = zlib.crc32(page.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
        result += page[:22] + crc.to_bytes(4, "big").translate(REVERSED_BITS) + page[26:]
        offset = end
    return result


def without_end_mark(content: bytes) -> bytes:
    offset = content.rfind(b"OggS") + 5
    return with_right_checksums(content[:offset] + bytes([content[offset] & ~4]) + content[offset + 1 :])


def with_gain(content: bytes) -> bytes:
    """An Opus header that asks to be played at half the level."""
    return with_right_checksums(written_at(b"OpusHead", 16, struct.pack("<h", -1541))(content))


def with_skeleton(content: bytes) -> bytes:
    """A Skeleton track around a stream: its head before, its end behind the stream's own head."""
    end_of_head = content.index(b"OggS", 4)
    head = b"fishead\x00" + struct.pack("<HHqqqq", 3, 0, 0, 1000, 0, 1000) + bytes(20)
    first = b"OggS\x00\x02" + bytes(8) + b"SKEL" + bytes(8) + bytes([1, len(head)]) + head
    last = b"OggS\x00\x04" + bytes(8) + b"SKEL" + struct.pack("<I", 1) + bytes(4) + bytes([1, 0])
    return with_right_checksums(first + content[:end_of_head] + last + content[end_of_head:])


def as_bw64(content: bytes) -> bytes:
    return b"BW64" + content[4:]


def mp3_in_wav(content: bytes) -> bytes:
    fmt = struct.pack("<HHIIHHHHIHHH", 0x55, 2, 44100, 16000, 1, 0, 12, 1, 2, 417, 1, 0)
    chunks = chunk(b"fmt ", fmt) + chunk(b"data", content)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks
