"""MP3 files frame by frame, without decoding: how many there are, how many were promised, is the last one whole.

A decoder needs the frame count in advance. Files without a Xing header do not carry it, and libsndfile then guesses
from the first bitrates: a file whose bitrate rises later loses its end silently. Nor does it skip bytes that some
taggers leave in front of the first frame. `mended_copy` puts both right.
"""

import mmap
import re
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SYNC = 0xFFE00000
HEADER_BYTES = 4
LAYER_III = 0b01
MPEG_1 = 0b11
RESERVED_VERSION = 0b01
MONO = 0b11
RATES_HZ = {0b11: (44100, 48000, 32000), 0b10: (22050, 24000, 16000), 0b00: (11025, 12000, 8000)}
KBPS_MPEG_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBPS_MPEG_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
ID3_HEADER_BYTES = 10
XING_HAS_FRAME_COUNT = 1
PROMISE_TOLERANCE_FRAMES = 2
"""Encoders disagree on whether the header's own frame and the flushed last one count."""

MAX_STRAY_BYTES = 2**20
"""How far the first frame is searched for, and how much is skipped between frames in all. Decoders give up sooner."""

VALID_RATES = bytes(byte for byte in range(0x10, 0xF0) if byte & 0b1100 != 0b1100)
FRAME_START = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][" + re.escape(VALID_RATES) + rb"]")
"""The first three bytes of every header that `FrameHeader.parse` accepts."""


@dataclass(frozen=True)
class FrameHeader:
    """The four bytes in front of every MPEG layer III frame."""

    bits: int

    @classmethod
    def parse(cls, data: bytes) -> "FrameHeader | None":
        """The header at the start of `data`, or None where there is none. Free-format bitrates are not supported."""
        if len(data) < HEADER_BYTES:
            return None
        header = cls(int.from_bytes(data[:HEADER_BYTES], "big"))
        valid = (
            header.bits & SYNC == SYNC
            and header.version != RESERVED_VERSION
            and header.bits >> 17 & 0b11 == LAYER_III
            and 0 < header.bitrate_index < 15
            and header.bits >> 10 & 0b11 != 0b11
        )
        return header if valid else None

    @property
    def version(self) -> int:
        return self.bits >> 19 & 0b11

    @property
    def bitrate_index(self) -> int:
        return self.bits >> 12 & 0b1111

    @property
    def sample_rate_hz(self) -> int:
        return RATES_HZ[self.version][self.bits >> 10 & 0b11]

    @property
    def frame_samples(self) -> int:
        return 1152 if self.version == MPEG_1 else 576

    @property
    def frame_bytes(self) -> int:
        table = KBPS_MPEG_1 if self.version == MPEG_1 else KBPS_MPEG_2
        bits_per_sec = 1000 * table[self.bitrate_index - 1]
        return self.frame_samples // 8 * bits_per_sec // self.sample_rate_hz + (self.bits >> 9 & 1)

    @property
    def side_info_bytes(self) -> int:
        mono = self.bits >> 6 & 0b11 == MONO
        if self.version == MPEG_1:
            return 17 if mono else 32
        return 9 if mono else 17

    def same_stream(self, other: "FrameHeader") -> bool:
        """Version, layer and sampling rate do not change inside a stream; bitrate, padding and stereo mode may."""
        fixed = SYNC | 0b11 << 19 | 0b11 << 17 | 0b11 << 10
        return self.bits & fixed == other.bits & fixed


@dataclass(frozen=True)
class MpegStream:
    """What a walk over all frames of a file found. `promised_frames` is the Xing header's count, where there is one."""

    tag_bytes: int
    first_frame_offset: int
    header: FrameHeader
    frames: int
    promised_frames: int | None
    last_frame_cut: bool

    @property
    def missing_frames(self) -> int:
        """Frames that the file should hold and does not."""
        if self.promised_frames is None:
            return int(self.last_frame_cut)
        missing = self.promised_frames - self.frames
        return missing if missing > PROMISE_TOLERANCE_FRAMES or (self.last_frame_cut and missing > 0) else 0

    def duration_sec(self, frames: int) -> float:
        return frames * self.header.frame_samples / self.header.sample_rate_hz

    @property
    def needs_mending(self) -> bool:
        """Whether the frame count is missing or too low, or strange bytes come before the first frame."""
        counted = self.promised_frames is not None and self.promised_frames >= self.frames - PROMISE_TOLERANCE_FRAMES
        return not counted or self.first_frame_offset > self.tag_bytes


def skip_id3(data: bytes | mmap.mmap) -> int:
    """The offset behind the ID3v2 tags (there may be several) that `data` starts with."""
    offset = 0
    while data[offset : offset + 3] == b"ID3" and len(data) >= offset + ID3_HEADER_BYTES:
        size = 0
        for byte in data[offset + 6 : offset + ID3_HEADER_BYTES]:
            size = size << 7 | byte & 0x7F
        offset += ID3_HEADER_BYTES + size
    return offset


def find_frame(data: bytes | mmap.mmap, start: int, stop: int, like: FrameHeader | None = None) -> int | None:
    """The offset in [start, stop) of the next frame that another one, or the end of the data, follows."""
    for match in FRAME_START.finditer(data, start, stop):
        offset = match.start()
        header = FrameHeader.parse(data[offset : offset + HEADER_BYTES])
        if header is not None and (like is None or header.same_stream(like)):
            end = offset + header.frame_bytes
            follower = FrameHeader.parse(data[end : end + HEADER_BYTES])
            if end == len(data) or (follower is not None and follower.same_stream(header)):
                return offset
    return None


def scan(path: Path) -> MpegStream | None:
    """Walk over all frames of an MP3 file; None where there is no frame. Memory does not grow with the file."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tag_bytes = skip_id3(data)
        first = find_frame(data, tag_bytes, tag_bytes + MAX_STRAY_BYTES)
        if first is None:
            return None
        header = FrameHeader.parse(data[first : first + HEADER_BYTES])
        promised = xing_frames(data, first, header)
        audio_start = first if promised is None else first + header.frame_bytes
        frames, cut = count_frames(data, audio_start, header)
        return MpegStream(tag_bytes, first, header, frames, promised, cut)


def count_frames(data: mmap.mmap, start: int, like: FrameHeader) -> tuple[int, bool]:
    """Number of whole frames from `start` on, stepping over damage and tags, and whether the last one is cut off."""
    frames, offset, left = 0, start, MAX_STRAY_BYTES
    while True:
        header = FrameHeader.parse(data[offset : offset + HEADER_BYTES])
        if header is not None and header.same_stream(like):
            if offset + header.frame_bytes > len(data):
                return frames, True
            frames += 1
            offset += header.frame_bytes
        else:
            resumed = find_frame(data, offset, offset + left, like)
            if resumed is None:
                return frames, False
            offset, left = resumed, left - (resumed - offset)


def xing_frames(data: mmap.mmap, offset: int, header: FrameHeader) -> int | None:
    """The frame count that encoders store in an otherwise silent first frame, or None."""
    start = offset + HEADER_BYTES + header.side_info_bytes
    field = data[start : start + 12]
    if len(field) < 12 or field[:4] not in (b"Xing", b"Info"):
        return None
    flags, frames = struct.unpack(">II", field[4:])
    return frames if flags & XING_HAS_FRAME_COUNT else None


@contextmanager
def mended_copy(path: Path, stream: MpegStream) -> Iterator[BinaryIO]:
    """A temporary copy on disk that starts with a Xing header of the true frame count."""
    with tempfile.TemporaryFile() as copy, open(path, "rb") as file:
        copy.write(xing_frame(stream.header, stream.frames))
        file.seek(stream.first_frame_offset)
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        yield copy


def xing_frame(like: FrameHeader, frames: int) -> bytes:
    """A silent frame of the stream `like` that carries a Xing header, at the largest bitrate so that it fits."""
    no_checksum, largest_bitrate = 1 << 16, 14 << 12
    header = FrameHeader(like.bits & ~(0b1111 << 12 | 1 << 9) | no_checksum | largest_bitrate)
    xing = b"Xing" + struct.pack(">II", XING_HAS_FRAME_COUNT, frames)
    data = header.bits.to_bytes(HEADER_BYTES, "big") + bytes(header.side_info_bytes) + xing
    return data.ljust(header.frame_bytes, b"\0")
