"""Do containers of plain samples hold all that they promise? Decoders take what is left of a cut file without a word.

What a recorder cannot know in advance, it writes as a size of 0 or as one near the largest: that is no promise.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from heartmula_studio.codec.sniff import id3_end, read_at

UNKNOWN_SIZES = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000), range(2**63 - 2**16, 2**64))
"""Sizes by GStreamer, sox, mpg123, ffmpeg and others in front of samples that go to a pipe; also in RF64."""

SIZE_IN_DS64 = 0xFFFFFFFF
EXTENSIBLE = 0xFFFE
RIFF_HEADER_BYTES, CHUNK_HEADER_BYTES = 12, 8
W64_GUID_BYTES, W64_HEADER_BYTES, W64_ALIGNMENT = 16, 24, 8


@dataclass(frozen=True)
class WaveData:
    """The samples of a WAV file: how they are coded (`format_tag`), and which bytes of the file hold them."""

    format_tag: int
    start: int
    promised_bytes: int
    present_bytes: int

    @property
    def end(self) -> int:
        present = (
            self.present_bytes if is_unknown(self.promised_bytes) else min(self.promised_bytes, self.present_bytes)
        )
        return self.start + present


def problem_of(file: BinaryIO, audio_format: str) -> str:
    """What is missing of a WAV, FLAC, W64 or VOC file; empty where nothing is, or where only decoding can tell."""
    checks: dict[str, Callable[[BinaryIO], str]] = {
        "WAV": wav_problem,
        "FLAC": flac_problem,
        "W64": w64_problem,
        "VOC": voc_problem,
    }
    return checks[audio_format](file) if audio_format in checks else ""


def is_unknown(size: int) -> bool:
    return size == 0 or any(size in sizes for sizes in UNKNOWN_SIZES)


def missing_bytes(promised_bytes: int, present_bytes: int) -> str:
    if is_unknown(promised_bytes) or promised_bytes <= present_bytes:
        return ""
    return f"its header promises {promised_bytes:,} bytes of sound and only {present_bytes:,} are there"


def find_wave_data(file: BinaryIO) -> WaveData | None:
    """Walk over the chunks (RIFF, RIFX, RF64, BW64) up to the samples; None where the file ends before them."""
    end, start = file.seek(0, 2), id3_end(file)
    order = ">" if read_at(file, start, 4) == b"RIFX" else "<"
    offset, format_tag, large_size = start + RIFF_HEADER_BYTES, 0, None
    while len(header := read_at(file, offset, CHUNK_HEADER_BYTES)) == CHUNK_HEADER_BYTES:
        kind, size = struct.unpack(f"{order}4sI", header)
        if kind == b"ds64":
            large_size = int.from_bytes(read_at(file, offset + 16, 8), "little")
        if kind == b"fmt ":
            format_tag = wave_format_tag(read_at(file, offset + 8, 26), order)
        if kind == b"data":
            promised = large_size if large_size is not None and size == SIZE_IN_DS64 else size
            samples_start = offset + CHUNK_HEADER_BYTES
            return WaveData(format_tag, samples_start, promised, end - samples_start)
        offset += CHUNK_HEADER_BYTES + size + size % 2
    return None


def wave_format_tag(fmt: bytes, order: str) -> int:
    """The format tag; of an extensible one that of its sub-format."""
    tag = struct.unpack_from(f"{order}H", fmt)[0] if len(fmt) >= 2 else 0
    return struct.unpack_from(f"{order}H", fmt, 24)[0] if tag == EXTENSIBLE and len(fmt) >= 26 else tag


def wav_problem(file: BinaryIO) -> str:
    data = find_wave_data(file)
    return (
        "it ends before its samples begin" if data is None else missing_bytes(data.promised_bytes, data.present_bytes)
    )


def w64_problem(file: BinaryIO) -> str:
    """Walk over the chunks of a Sony Wave64 file, whose sizes include their own 24-byte headers."""
    end = file.seek(0, 2)
    offset = W64_HEADER_BYTES + W64_GUID_BYTES
    while len(header := read_at(file, offset, W64_HEADER_BYTES)) == W64_HEADER_BYTES:
        size = int.from_bytes(header[W64_GUID_BYTES:], "little")
        if header.startswith(b"data"):
            promised = 0 if is_unknown(size) else max(0, size - W64_HEADER_BYTES)
            return missing_bytes(promised, end - offset - W64_HEADER_BYTES)
        offset += max(W64_HEADER_BYTES, size + -size % W64_ALIGNMENT)
    return "it ends before its samples begin"


def voc_problem(file: BinaryIO) -> str:
    """Only the first block of a Creative Voice file is checked: sox writes sizes that lead astray behind it."""
    end = file.seek(0, 2)
    offset = int.from_bytes(read_at(file, 20, 2), "little") + 4
    if offset > end:
        return "it ends before its samples begin"
    return missing_bytes(int.from_bytes(read_at(file, offset - 3, 3), "little"), end - offset)


def flac_problem(file: BinaryIO) -> str:
    """Only the metadata is checked here; decoding finds frames that are missing."""
    end = file.seek(0, 2)
    offset, is_last = id3_end(file) + 4, False
    while not is_last:
        header = read_at(file, offset, 4)
        offset += 4 + int.from_bytes(header[1:], "big")
        if len(header) < 4 or offset > end:
            return "it ends inside its header"
        is_last = header[0] & 0x80 != 0
    return ""
