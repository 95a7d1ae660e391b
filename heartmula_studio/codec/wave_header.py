"""WAV and Wave64 chunk by chunk: how the samples are coded, where they lie, and how many bytes of them are promised."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from heartmula_studio.codec.sniff import id3_end, read_at

UNKNOWN_SIZES = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000), range(2**63 - 2**16, 2**64))
"""Sizes that GStreamer, sox, mpg123, ffmpeg and others write when samples go to a pipe; also in 64 bits."""

SIZE_IN_DS64 = 0xFFFFFFFF
PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
EXTENSIBLE_BYTES = 26
RIFF_HEADER_BYTES, CHUNK_HEADER_BYTES = 12, 8
W64_GUID_BYTES, W64_HEADER_BYTES, W64_ALIGNMENT = 16, 24, 8


@dataclass(frozen=True)
class WaveFormat:
    """The `fmt ` chunk. `tag` is that of the sub-format where the format is extensible.

    `bits` are those that a sample takes up, `used_bits` how many of them hold sound; `mask` names the speakers.
    """

    tag: int = 0
    channels: int = 0
    sample_rate_hz: int = 0
    bits: int = 0
    used_bits: int = 0
    mask: int = 0

    @classmethod
    def parse(cls, fmt: bytes, order: str) -> "WaveFormat":
        if len(fmt) < 16:
            return cls()
        tag, channels, rate_hz, _, _, bits = struct.unpack_from(f"{order}HHIIHH", fmt)
        used_bits, mask = bits, 0
        if tag == EXTENSIBLE and len(fmt) >= EXTENSIBLE_BYTES:
            used_bits, mask, tag = struct.unpack_from(f"{order}HIH", fmt, 18)
        return cls(tag, channels, rate_hz, bits, used_bits, mask)

    @property
    def is_padded(self) -> bool:
        """Whether samples are wider than what they hold; FFmpeg takes 24 bits in 32 for Cool Edit's floats."""
        return self.tag == PCM and self.used_bits not in (0, self.bits)

    @property
    def layout(self) -> str:
        """The channels as FFmpeg's option `ch_layout` names them."""
        return hex(self.mask) if self.mask.bit_count() == self.channels else f"{self.channels}c"


@dataclass(frozen=True)
class WaveData:
    """The samples of a file: how they are coded, where they start, and how many bytes of them should and do follow."""

    format: WaveFormat
    order: str
    start: int
    promised_bytes: int
    present_bytes: int

    @property
    def has_known_size(self) -> bool:
        """A size of 0, or one near the largest, is what a recorder writes that cannot know it in advance."""
        return self.promised_bytes > 0 and not any(self.promised_bytes in sizes for sizes in UNKNOWN_SIZES)

    @property
    def end(self) -> int:
        known = self.has_known_size
        return self.start + (min(self.promised_bytes, self.present_bytes) if known else self.present_bytes)

    @property
    def problem(self) -> str:
        if not self.has_known_size or self.promised_bytes <= self.present_bytes:
            return ""
        return f"its header promises {self.promised_bytes:,} bytes of sound and only {self.present_bytes:,} are there"

    @property
    def pcm_demuxer(self) -> str:
        """FFmpeg's name for samples of this kind without any header; empty for compressed ones."""
        endian = "be" if self.order == ">" else "le"
        if self.format.tag in (A_LAW, MU_LAW):
            return {A_LAW: "alaw", MU_LAW: "mulaw"}[self.format.tag]
        if self.format.tag == PCM and self.format.bits <= 8:
            return "u8"
        return {PCM: f"s{self.format.bits}{endian}", FLOAT: f"f{self.format.bits}{endian}"}.get(self.format.tag, "")


def find_wave_data(file: BinaryIO) -> WaveData | None:
    """Walk over the chunks (RIFF, RIFX, RF64, BW64) up to the samples; None where the file ends before them."""
    end, start = file.seek(0, 2), id3_end(file)
    order = ">" if read_at(file, start, 4) == b"RIFX" else "<"
    offset, format, large_size = start + RIFF_HEADER_BYTES, WaveFormat(), None
    while len(header := read_at(file, offset, CHUNK_HEADER_BYTES)) == CHUNK_HEADER_BYTES:
        kind, size = struct.unpack(f"{order}4sI", header)
        content = offset + CHUNK_HEADER_BYTES
        if kind == b"ds64":
            large_size = int.from_bytes(read_at(file, content + 8, 8), "little")
        if kind == b"fmt ":
            format = WaveFormat.parse(read_at(file, content, EXTENSIBLE_BYTES), order)
        if kind == b"data":
            promised = large_size if large_size is not None and size == SIZE_IN_DS64 else size
            return WaveData(format, order, content, promised, end - content)
        offset = content + size + size % 2
    return None


def find_w64_data(file: BinaryIO) -> WaveData | None:
    """The same for Sony's Wave64, whose chunks have 64-bit sizes that include their own headers."""
    end = file.seek(0, 2)
    offset, format = W64_HEADER_BYTES + W64_GUID_BYTES, WaveFormat()
    while len(header := read_at(file, offset, W64_HEADER_BYTES)) == W64_HEADER_BYTES:
        size = int.from_bytes(header[W64_GUID_BYTES:], "little")
        content = offset + W64_HEADER_BYTES
        if header.startswith(b"fmt "):
            format = WaveFormat.parse(read_at(file, content, EXTENSIBLE_BYTES), "<")
        if header.startswith(b"data"):
            return WaveData(format, "<", content, max(0, size - W64_HEADER_BYTES), end - content)
        offset += max(W64_HEADER_BYTES, size + -size % W64_ALIGNMENT)
    return None
