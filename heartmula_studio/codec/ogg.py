"""Ogg page by page, without decoding: the links of a chain, what each carries, and whether every page is whole.

A chain is files of their own behind each other (RFC 3533, section 4): radio recordings and joined songs.
"""

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MARK = b"OggS"
HEADER_BYTES = 27
BEGINS_STREAM, ENDS_STREAM = 0x02, 0x04
SOUND = {"Vorbis", "Opus", "FLAC"}
VIDEO, SPEEX, OTHER = "video", "Speex speech", "other"
STREAM_MARKS = {
    b"\x01vorbis": "Vorbis",
    b"OpusHead": "Opus",
    b"\x7fFLAC": "FLAC",
    b"\x80theora": VIDEO,
    b"BBCD\x00": VIDEO,
    b"OVP80": VIDEO,
    b"\x01video\x00\x00": VIDEO,
    b"Speex   ": SPEEX,
}
LONGEST_MARK = 8
REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class OggPage:
    """One page: `header` are its first 27 bytes, `packet` where its content begins."""

    start: int
    packet: int
    end: int
    header: bytes

    @property
    def begins_stream(self) -> bool:
        return self.header[5] & BEGINS_STREAM != 0

    @property
    def ends_stream(self) -> bool:
        return self.header[5] & ENDS_STREAM != 0


@dataclass(frozen=True)
class OggLink:
    """One link of a chain, in the bytes from `start` to `end`: the kinds of stream that begin in it."""

    start: int
    end: int
    kinds: tuple[str, ...]

    @property
    def has_sound(self) -> bool:
        return not SOUND.isdisjoint(self.kinds)


class OggDamageError(ValueError):
    """A page is cut off (`offset` is None) or does not fit its checksum."""

    def __init__(self, offset: int | None):
        super().__init__(offset)
        self.offset = offset


def pages(data: mmap.mmap, start: int = 0) -> Iterator[OggPage]:
    """Each page from `start` on; what follows the last one, as tags do, is left alone. Raises OggDamageError."""
    offset, ended = start, False
    while offset < len(data):
        page = page_at(data, offset)
        if page is None or page.end > len(data):
            if ended and (page is None and data.find(MARK, offset) < 0):
                return
            raise OggDamageError(None if data.find(MARK, offset + 1) < 0 else offset)
        if not has_right_checksum(data, page):
            raise OggDamageError(page.start)
        yield page
        offset, ended = page.end, page.ends_stream


def page_at(data: mmap.mmap, offset: int) -> OggPage | None:
    header = data[offset : offset + HEADER_BYTES]
    if len(header) < HEADER_BYTES or not header.startswith(MARK):
        return None
    segments = data[offset + HEADER_BYTES : offset + HEADER_BYTES + header[26]]
    packet = offset + HEADER_BYTES + header[26]
    return OggPage(offset, packet, packet + sum(segments), header)


def has_right_checksum(data: mmap.mmap, page: OggPage) -> bool:
    """Compare the page's CRC-32, whose bits run the other way than zlib's."""
    content = page.header[:22] + bytes(4) + data[page.start + 26 : page.end]
    crc = zlib.crc32(content.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(REVERSED_BITS) == page.header[22:26]


def links(data: mmap.mmap, start: int = 0) -> Iterator[OggLink]:
    """Each link of a chain that begins at `start`. Raises OggDamageError."""
    end, in_head = start, True
    kinds: list[str] = []
    for page in pages(data, start):
        if page.begins_stream and not in_head:
            yield OggLink(start, end, tuple(kinds))
            start, kinds = page.start, []
        in_head = page.begins_stream
        if in_head:
            kinds.append(stream_kind(data[page.packet : page.packet + LONGEST_MARK]))
        end = page.end
    if end > start:
        yield OggLink(start, end, tuple(kinds))


def stream_kind(packet: bytes) -> str:
    """What a stream with this first packet carries."""
    return next((kind for mark, kind in STREAM_MARKS.items() if packet.startswith(mark)), OTHER)
